with invoice_lines as (

    select * from {{ ref('invoice_lines') }}

),

stock_codes as (

    select
        stock_code,
        min(case when is_product then 1 else 0 end) as product_flag
    from invoice_lines
    group by stock_code

),

descriptions as (

    select
        stock_code,
        description,
        sum(case when transaction_type = 'sale' then 1 else 0 end) as sale_lines,
        count(*) as all_lines,
        max(case when transaction_type = 'sale' then invoiced_at end) as last_sold_at,
        max(invoiced_at) as last_invoiced_at
    from invoice_lines
    where description is not null
    group by stock_code, description

),

counted as (

    select
        stock_code,
        description,
        -- Sale lines count; for an item without a description among them, all lines do.
        case when max(sale_lines) over (partition by stock_code) > 0 then sale_lines else all_lines end as line_count,
        case
            when max(sale_lines) over (partition by stock_code) > 0 then last_sold_at else last_invoiced_at
        end as last_used_at
    from descriptions

),

ranked as (

    select
        stock_code,
        description,
        row_number() over (
            partition by stock_code
            order by line_count desc, last_used_at desc, description asc
        ) as place
    from counted
    where line_count > 0

)

select
    cast(stock_codes.stock_code as varchar(200)) as stock_code,
    cast(ranked.description as varchar(4000)) as description,
    stock_codes.product_flag = 1 as is_product
from stock_codes
left join ranked
    on
        stock_codes.stock_code = ranked.stock_code
        and ranked.place = 1
