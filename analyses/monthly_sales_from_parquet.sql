-- Reads the Parquet export, not the tables: dbt build --selector parquet_export writes it.
select
    invoice_month,
    sum(gross_amount) as gross_amount,
    sum(cancellation_amount) as cancellation_amount,
    sum(net_amount) as net_amount,
    sum(unit_count) as unit_count
from {{ parquet_export_rows(ref('export_fct_daily_sales')) }}
group by invoice_month
order by invoice_month
