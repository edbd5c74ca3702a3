-- The reconciliation covers every staged row, and every accepted row is in its mart.
{% set sources = {
    'instacart': {
        'aisles': 'stg_instacart__aisles',
        'departments': 'stg_instacart__departments',
        'products': 'stg_instacart__products',
        'orders': 'stg_instacart__orders',
        'order_products': 'int_order_products_unioned',
    },
    'online_retail': {'invoice_lines': 'int_invoice_lines_unioned'},
} %}

with reconciled as (

    select
        case when table_name like 'order_products%' then 'order_products' else table_name end as entity,
        sum(raw_rows) as raw_rows,
        sum(accepted_rows) as accepted_rows
    from {{ ref('row_reconciliation') }}
    group by case when table_name like 'order_products%' then 'order_products' else table_name end

),

layers as (

    {% for source_name in built_sources(sources) %}
    {% set is_last_source = loop.last %}
    {% for entity, staged in sources[source_name].items() %}
    select
        '{{ entity }}' as entity,
        (select count(*) from {{ ref(staged) }}) as staged_rows,
        (select count(*) from {{ ref(entity) }}) as mart_rows
    {% if not (is_last_source and loop.last) %}
    union all
    {% endif %}
    {% endfor %}
    {% endfor %}

)

select
    layers.entity,
    layers.staged_rows,
    reconciled.raw_rows,
    reconciled.accepted_rows,
    layers.mart_rows
from layers
left join reconciled
    on layers.entity = reconciled.entity
where
    coalesce(reconciled.raw_rows, 0) <> layers.staged_rows
    or coalesce(reconciled.accepted_rows, 0) <> layers.mart_rows
