-- Built only if the test on this model passes: not too many rows are rejected.
-- depends_on: {{ ref('int_online_retail_rejections_counted') }}
with invoice_lines as (

    {{ touched_rows(ref('int_invoice_lines_classified')) }}

)

select
    invoice_line_id,
    invoice_no,
    stock_code,
    customer_id,
    description,
    country,
    transaction_type,
    quantity,
    unit_price,
    line_amount,
    is_exact_duplicate,
    is_product,
    invoiced_at,
    file_name,
    row_number
from invoice_lines
