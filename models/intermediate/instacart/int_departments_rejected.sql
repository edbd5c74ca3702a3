with departments as (

    select * from {{ ref('stg_instacart__departments') }}

),

candidates as (

    select * from departments
    where {{ readable_with_key() }}

),

duplicates as (

    {{ later_duplicates('candidates', ['department_id']) }}

)

select
    cast('departments' as varchar(100)) as table_name,
    departments.file_name,
    departments.row_number,
    case when duplicates.row_number is not null then 'duplicate_key' else departments.rejection_reason end as reason,
    case
        when duplicates.row_number is not null
            then 'department_id = ' || cast(departments.department_id as varchar) || ' stands in an earlier row'
        else departments.rejection_detail
    end as detail,
    departments.raw_record
from departments
left join duplicates
    on
        departments.file_name = duplicates.file_name
        and departments.row_number = duplicates.row_number
where departments.rejection_reason is not null or duplicates.row_number is not null
