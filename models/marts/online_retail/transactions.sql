with touched as (

    {{ touched_rows(ref('invoice_lines')) }}

),

invoice_lines as (

    select
        *,
        row_number() over (
            partition by invoice_no, stock_code
            order by file_name asc, row_number asc
        ) as place,
        row_number() over (
            partition by invoice_no, stock_code
            order by file_name desc, row_number desc
        ) as place_from_last
    from touched

)

select
    invoice_no,
    stock_code,
    cast(count(*) as integer) as line_count,
    cast(sum(quantity) as bigint) as quantity,
    cast(sum(line_amount) as numeric(38, 3)) as amount,
    cast(sum(case when transaction_type = 'sale' then quantity else 0 end) as bigint) as sale_quantity,
    cast(sum(case when transaction_type = 'sale' then line_amount else 0 end) as numeric(38, 3)) as sale_amount,
    cast(max(case when place = 1 then unit_price end) as numeric(12, 3)) as first_unit_price,
    cast(max(case when place_from_last = 1 then unit_price end) as numeric(12, 3)) as last_unit_price
from invoice_lines
group by invoice_no, stock_code
