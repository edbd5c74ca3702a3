with touched as (

    {{ touched_rows(ref('invoice_lines')) }}

),

invoice_lines as (

    select
        *,
        row_number() over (
            partition by invoice_no
            order by invoiced_at asc, file_name asc, row_number asc
        ) as place
    from touched

)

select
    invoice_no,
    -- The lines of an invoice have one type, except that sales, free items and stock adjustments may be mixed.
    case
        when max(case when transaction_type = 'cancellation' then 1 else 0 end) = 1 then 'cancellation'
        when max(case when transaction_type = 'bad_debt' then 1 else 0 end) = 1 then 'bad_debt'
        when max(case when transaction_type = 'sale' then 1 else 0 end) = 1 then 'sale'
        when max(case when transaction_type = 'free_item' then 1 else 0 end) = 1 then 'free_item'
        else 'stock_adjustment'
    end as transaction_type,
    max(case when place = 1 then customer_id end) as customer_id,
    max(case when place = 1 then country end) as country,
    min(invoiced_at) as invoiced_at,
    cast(count(*) as integer) as line_count,
    cast(sum(quantity) as bigint) as quantity,
    cast(sum(line_amount) as numeric(38, 3)) as amount
from invoice_lines
group by invoice_no
