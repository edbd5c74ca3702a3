with aisles as (

    select * from {{ ref('stg_instacart__aisles') }}

),

rejected as (

    select
        file_name,
        row_number
    from {{ ref('int_aisles_rejected') }}

)

select
    aisles.aisle_id,
    aisles.aisle,
    cast('aisles' as varchar(100)) as table_name,
    aisles.file_name,
    aisles.row_number
from aisles
where
    not exists (
        select 1
        from rejected
        where
            rejected.file_name = aisles.file_name
            and rejected.row_number = aisles.row_number
    )
