with data_files as (

    select * from {{ ref('stg_instacart__data_files') }}

),

-- Counted from the lines as they were read, before any judgement.
raw_counts as (

    {% for entities in [
        'aisles', 'departments', 'products', 'orders', 'order_products__prior', 'order_products__train'
    ] %}
    select
        table_name,
        file_name,
        count(*) as raw_rows
    from {{ ref('stg_instacart__' ~ entities) }}
    group by table_name, file_name
    {% if not loop.last %}
    union all
    {% endif %}
    {% endfor %}

),

accepted_counts as (

    {% for entities in ['aisles', 'departments', 'products', 'orders', 'order_products'] %}
    select
        table_name,
        file_name,
        count(*) as accepted_rows
    from {{ ref('int_' ~ entities ~ '_accepted') }}
    group by table_name, file_name
    {% if not loop.last %}
    union all
    {% endif %}
    {% endfor %}

),

rejected_counts as (

    select
        table_name,
        file_name,
        count(*) as rejected_rows
    from {{ ref('rejected_rows') }}
    where source_name = 'instacart'
    group by table_name, file_name

)

select
    cast('instacart' as varchar(100)) as source_name,
    cast(data_files.table_name as varchar(100)) as table_name,
    cast(data_files.file_name as varchar(1000)) as file_name,
    cast(coalesce(raw_counts.raw_rows, 0) as bigint) as raw_rows,
    cast(coalesce(accepted_counts.accepted_rows, 0) as bigint) as accepted_rows,
    cast(coalesce(rejected_counts.rejected_rows, 0) as bigint) as rejected_rows
from data_files
left join raw_counts
    on
        data_files.table_name = raw_counts.table_name
        and data_files.file_name = raw_counts.file_name
left join accepted_counts
    on
        data_files.table_name = accepted_counts.table_name
        and data_files.file_name = accepted_counts.file_name
left join rejected_counts
    on
        data_files.table_name = rejected_counts.table_name
        and data_files.file_name = rejected_counts.file_name
