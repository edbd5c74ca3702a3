{% set sources = {
    'instacart': {
        'data_files': 'stg_instacart__data_files',
        'raw': {
            'aisles': 'stg_instacart__aisles',
            'departments': 'stg_instacart__departments',
            'products': 'stg_instacart__products',
            'orders': 'stg_instacart__orders',
            'order_products__prior': 'stg_instacart__order_products__prior',
            'order_products__train': 'stg_instacart__order_products__train',
        },
        'accepted': [
            'int_aisles_accepted', 'int_departments_accepted', 'int_products_accepted', 'int_orders_accepted',
            'int_order_products_accepted',
        ],
    },
    'online_retail': {
        'data_files': 'stg_online_retail__data_files',
        'raw': {'invoice_lines': 'int_invoice_lines_unioned'},
        'accepted': ['int_invoice_lines_classified'],
    },
} %}
{% set accepted = {} %}
{% for source_name, models in sources.items() %}
{% do accepted.update({source_name: models.accepted}) %}
{% endfor %}
{% set built = built_sources(accepted) %}

with data_files as (

    {% for source_name in built %}
    {% set tables = sources[source_name] %}
    select
        cast('{{ source_name }}' as varchar(100)) as source_name,
        table_name,
        file_name
    from {{ ref(tables.data_files) }}
    where
        table_name in (
            {% for table in tables.raw %}
            '{{ table }}'{{ ',' if not loop.last }}
            {% endfor %}
        )
    {% if not loop.last %}
    union all
    {% endif %}
    {% endfor %}

),

-- Counted from the lines as they were read, before any row is judged.
raw_counts as (

    {% for source_name in built %}
    {% set tables = sources[source_name] %}
    {% set is_last_source = loop.last %}
    {% for table, model in tables.raw.items() %}
    select
        cast('{{ source_name }}' as varchar(100)) as source_name,
        cast('{{ table }}' as varchar(100)) as table_name,
        file_name,
        count(*) as raw_rows
    from {{ ref(model) }}
    group by file_name
    {% if not (is_last_source and loop.last) %}
    union all
    {% endif %}
    {% endfor %}
    {% endfor %}

),

accepted_counts as (

    {% for source_name in built %}
    {% set tables = sources[source_name] %}
    {% set is_last_source = loop.last %}
    {% for model in tables.accepted %}
    select
        cast('{{ source_name }}' as varchar(100)) as source_name,
        table_name,
        file_name,
        count(*) as accepted_rows
    from {{ ref(model) }}
    group by table_name, file_name
    {% if not (is_last_source and loop.last) %}
    union all
    {% endif %}
    {% endfor %}
    {% endfor %}

),

-- All files in the folder, including those without rows, and all streamed deliveries.
deliveries as (

    select
        source_name,
        table_name,
        file_name
    from data_files
    union
    select
        source_name,
        table_name,
        file_name
    from raw_counts

),

rejected_counts as (

    select
        source_name,
        table_name,
        file_name,
        count(*) as rejected_rows
    from {{ ref('rejected_rows') }}
    group by source_name, table_name, file_name

)

select
    cast(deliveries.source_name as varchar(100)) as source_name,
    cast(deliveries.table_name as varchar(100)) as table_name,
    cast(deliveries.file_name as varchar(1000)) as file_name,
    cast(coalesce(raw_counts.raw_rows, 0) as bigint) as raw_rows,
    cast(coalesce(accepted_counts.accepted_rows, 0) as bigint) as accepted_rows,
    cast(coalesce(rejected_counts.rejected_rows, 0) as bigint) as rejected_rows
from deliveries
left join raw_counts
    on
        deliveries.source_name = raw_counts.source_name
        and deliveries.table_name = raw_counts.table_name
        and deliveries.file_name = raw_counts.file_name
left join accepted_counts
    on
        deliveries.source_name = accepted_counts.source_name
        and deliveries.table_name = accepted_counts.table_name
        and deliveries.file_name = accepted_counts.file_name
left join rejected_counts
    on
        deliveries.source_name = rejected_counts.source_name
        and deliveries.table_name = rejected_counts.table_name
        and deliveries.file_name = rejected_counts.file_name
