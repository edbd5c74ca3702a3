with invoice_lines as (

    {{ touched_rows(ref('invoice_lines')) }}

)

select
    invoice_line_id,
    invoice_no,
    stock_code,
    customer_id,
    description,
    country,
    quantity,
    unit_price,
    line_amount,
    is_exact_duplicate,
    is_product,
    cast(invoiced_at as date) as invoice_date,
    invoiced_at,
    file_name,
    row_number
from invoice_lines
where transaction_type = 'sale'
