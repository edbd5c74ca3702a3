{% set sources = {
    'instacart': ['aisles', 'departments', 'products', 'orders', 'order_products'],
    'online_retail': ['invoice_lines', 'streamed_lines'],
} %}

{% for source_name, all_entities in sources.items() %}
{% set is_last_source = loop.last %}
{% for entities in all_entities %}
select
    cast('{{ source_name }}' as varchar(100)) as source_name,
    cast(table_name as varchar(100)) as table_name,
    cast(file_name as varchar(1000)) as file_name,
    row_number,
    cast(reason as varchar(20)) as reason,
    cast(detail as varchar(1000)) as detail,
    cast(raw_record as varchar(4000)) as raw_record
from {{ ref('int_' ~ entities ~ '_rejected') }}
{% if not (is_last_source and loop.last) %}
union all
{% endif %}
{% endfor %}
{% endfor %}
