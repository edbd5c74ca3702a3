-- Reads the Parquet export, not the tables: dbt run-operation export_parquet writes it.
select
    invoice_month,
    sum(gross_amount) as gross_amount,
    sum(cancellation_amount) as cancellation_amount,
    sum(net_amount) as net_amount,
    sum(unit_count) as unit_count
from {{ parquet_rows(ref('fct_daily_sales'), 'invoice_date') }}
group by invoice_month
order by invoice_month
