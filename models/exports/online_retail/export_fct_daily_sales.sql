select
    invoice_date,
    country,
    gross_amount,
    cancellation_amount,
    net_amount,
    invoice_count,
    customer_count,
    unit_count,
    cast({{ dbt.date_trunc('month', 'invoice_date') }} as date) as invoice_month
from {{ ref('fct_daily_sales') }}
