-- Without a CTE of all lines: DuckDB would store it, since it is read twice.
with measured as (

    select
        customer_id,
        count(distinct country) as country_count,
        count(distinct case when transaction_type = 'sale' then invoice_no end) as sale_invoice_count,
        sum(case when transaction_type = 'sale' then line_amount else 0 end) as sale_amount,
        min(invoiced_at) as first_invoiced_at,
        max(invoiced_at) as last_invoiced_at
    from {{ ref('invoice_lines') }}
    group by customer_id

),

-- Only lines of a customer's last moment are put in order: all lines would take four times as long.
latest_lines as (

    select
        invoice_lines.customer_id,
        invoice_lines.country,
        row_number() over (
            partition by invoice_lines.customer_id
            order by invoice_lines.file_name desc, invoice_lines.row_number desc
        ) as place_from_last
    from {{ ref('invoice_lines') }} as invoice_lines
    inner join measured
        on
            invoice_lines.customer_id = measured.customer_id
            and invoice_lines.invoiced_at = measured.last_invoiced_at

),

members as (

    select customer_id from measured
    union
    -- Always included, so that lines without a customer have one to refer to.
    select cast('Unknown' as varchar(20)) as customer_id

)

select
    cast(members.customer_id as varchar(20)) as customer_id,
    cast(case when members.customer_id <> 'Unknown' then latest_lines.country end as varchar(400)) as country,
    cast(coalesce(measured.country_count, 0) as integer) as country_count,
    cast(coalesce(measured.sale_invoice_count, 0) as integer) as sale_invoice_count,
    cast(coalesce(measured.sale_amount, 0) as numeric(38, 3)) as sale_amount,
    measured.first_invoiced_at,
    measured.last_invoiced_at
from members
left join measured
    on members.customer_id = measured.customer_id
left join latest_lines
    on
        members.customer_id = latest_lines.customer_id
        and latest_lines.place_from_last = 1
