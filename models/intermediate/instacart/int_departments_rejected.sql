with departments as (

    select * from {{ ref('stg_instacart__departments') }}

),

repeated_files as (

    {{ repeated_files(
        ref('stg_instacart__departments'),
        'department_id',
        ['department'],
        ['department_id'],
    ) }}

),

candidates as (

    select departments.*
    from departments
    left join repeated_files
        on departments.file_name = repeated_files.file_name
    where
        {{ readable_with_key() }}
        and repeated_files.file_name is null

),

duplicates as (

    {{ later_duplicates('candidates', ['department_id']) }}

)

select
    cast('departments' as varchar(100)) as table_name,
    departments.file_name,
    departments.row_number,
    case
        when not {{ readable_with_key() }} then departments.rejection_reason
        when repeated_files.file_name is not null or duplicates.row_number is not null then 'duplicate_key'
        else departments.rejection_reason
    end as reason,
    case
        when not {{ readable_with_key() }} then departments.rejection_detail
        when repeated_files.file_name is not null
            then 'all rows of the file are in ' || repeated_files.other_name || ' as well'
        when duplicates.row_number is not null
            then 'department_id = ' || cast(departments.department_id as varchar) || ' is already in an earlier row'
        else departments.rejection_detail
    end as detail,
    departments.raw_record,
    repeated_files.file_name is not null as is_of_left_out_file
from departments
left join duplicates
    on
        departments.file_name = duplicates.file_name
        and departments.row_number = duplicates.row_number
left join repeated_files
    on departments.file_name = repeated_files.file_name
where
    departments.rejection_reason is not null
    or duplicates.row_number is not null
    or repeated_files.file_name is not null
