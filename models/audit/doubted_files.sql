{% set sources = {
    'instacart': [
        'int_aisles_rejected', 'int_departments_rejected', 'int_products_rejected', 'int_orders_rejected',
        'int_order_products_rejected',
    ],
    'online_retail': ['int_invoice_files_doubted'],
} %}
{% set built = built_sources(sources) %}

{% if 'instacart' in built %}
{% for model in sources.instacart %}
select
    cast('instacart' as varchar(100)) as source_name,
    cast(table_name as varchar(100)) as table_name,
    cast(file_name as varchar(1000)) as file_name,
    cast('repeated' as varchar(20)) as verdict,
    cast(max(case when reason = 'duplicate_key' then detail else '' end) as varchar(1000)) as detail
from {{ ref(model) }}
where is_of_left_out_file
group by table_name, file_name
{% if not loop.last or 'online_retail' in built %}
union all
{% endif %}
{% endfor %}
{% endif %}
{% if 'online_retail' in built %}
select
    cast('online_retail' as varchar(100)) as source_name,
    cast('invoice_lines' as varchar(100)) as table_name,
    cast(file_name as varchar(1000)) as file_name,
    cast(verdict as varchar(20)) as verdict,
    cast(detail as varchar(1000)) as detail
from {{ ref('int_invoice_files_doubted') }}
{% endif %}
