with aisles as (

    select * from {{ ref('stg_instacart__aisles') }}

),

candidates as (

    select * from aisles
    where {{ readable_with_key() }}

),

duplicates as (

    {{ later_duplicates('candidates', ['aisle_id']) }}

)

select
    cast('aisles' as varchar(100)) as table_name,
    aisles.file_name,
    aisles.row_number,
    case when duplicates.row_number is not null then 'duplicate_key' else aisles.rejection_reason end as reason,
    case
        when duplicates.row_number is not null
            then 'aisle_id = ' || cast(aisles.aisle_id as varchar) || ' stands in an earlier row'
        else aisles.rejection_detail
    end as detail,
    aisles.raw_record
from aisles
left join duplicates
    on
        aisles.file_name = duplicates.file_name
        and aisles.row_number = duplicates.row_number
where aisles.rejection_reason is not null or duplicates.row_number is not null
