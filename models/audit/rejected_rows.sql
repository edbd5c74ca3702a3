{% set sources = {
    'instacart': [
        'int_aisles_rejected', 'int_departments_rejected', 'int_products_rejected', 'int_orders_rejected',
        'int_order_products_rejected',
    ],
    'online_retail': ['int_invoice_lines_rejected', 'int_streamed_lines_rejected'],
} %}

{% for source_name in built_sources(sources) %}
{% set is_last_source = loop.last %}
{% for model in sources[source_name] %}
select
    cast('{{ source_name }}' as varchar(100)) as source_name,
    cast(table_name as varchar(100)) as table_name,
    cast(file_name as varchar(1000)) as file_name,
    row_number,
    cast(reason as varchar(20)) as reason,
    cast(detail as varchar(1000)) as detail,
    cast(raw_record as varchar(4000)) as raw_record
from {{ ref(model) }}
{% if not (is_last_source and loop.last) %}
union all
{% endif %}
{% endfor %}
{% endfor %}
