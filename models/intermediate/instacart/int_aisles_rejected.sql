with aisles as (

    select * from {{ ref('stg_instacart__aisles') }}

),

repeated_files as (

    {{ repeated_files(
        ref('stg_instacart__aisles'),
        'aisle_id',
        ['aisle'],
        ['aisle_id'],
    ) }}

),

candidates as (

    select aisles.*
    from aisles
    left join repeated_files
        on aisles.file_name = repeated_files.file_name
    where
        {{ readable_with_key() }}
        and repeated_files.file_name is null

),

duplicates as (

    {{ later_duplicates('candidates', ['aisle_id']) }}

)

select
    cast('aisles' as varchar(100)) as table_name,
    aisles.file_name,
    aisles.row_number,
    case
        when not {{ readable_with_key() }} then aisles.rejection_reason
        when repeated_files.file_name is not null or duplicates.row_number is not null then 'duplicate_key'
        else aisles.rejection_reason
    end as reason,
    case
        when not {{ readable_with_key() }} then aisles.rejection_detail
        when repeated_files.file_name is not null
            then 'all rows of the file are in ' || repeated_files.other_name || ' as well'
        when duplicates.row_number is not null
            then 'aisle_id = ' || cast(aisles.aisle_id as varchar) || ' is already in an earlier row'
        else aisles.rejection_detail
    end as detail,
    aisles.raw_record,
    repeated_files.file_name is not null as is_of_left_out_file
from aisles
left join duplicates
    on
        aisles.file_name = duplicates.file_name
        and aisles.row_number = duplicates.row_number
left join repeated_files
    on aisles.file_name = repeated_files.file_name
where
    aisles.rejection_reason is not null
    or duplicates.row_number is not null
    or repeated_files.file_name is not null
