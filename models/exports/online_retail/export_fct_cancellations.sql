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
    invoice_date,
    invoiced_at,
    file_name,
    row_number,
    cast({{ dbt.date_trunc('month', 'invoice_date') }} as date) as invoice_month
from {{ ref('fct_cancellations') }}
