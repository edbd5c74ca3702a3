{% set entities = ['aisles', 'departments', 'products', 'orders', 'order_products'] %}

{% for entity in entities %}
select
    cast('instacart' as varchar(100)) as source_name,
    cast(table_name as varchar(100)) as table_name,
    cast(file_name as varchar(1000)) as file_name,
    cast('repeated' as varchar(20)) as verdict,
    cast(max(case when reason = 'duplicate_key' then detail else '' end) as varchar(1000)) as detail
from {{ ref('int_' ~ entity ~ '_rejected') }}
where is_of_left_out_file
group by table_name, file_name
union all
{% endfor %}
select
    cast('online_retail' as varchar(100)) as source_name,
    cast('invoice_lines' as varchar(100)) as table_name,
    cast(file_name as varchar(1000)) as file_name,
    cast(verdict as varchar(20)) as verdict,
    cast(detail as varchar(1000)) as detail
from {{ ref('int_invoice_files_doubted') }}
