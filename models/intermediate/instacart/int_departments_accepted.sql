with departments as (

    select * from {{ ref('stg_instacart__departments') }}

),

rejected as (

    select
        file_name,
        row_number
    from {{ ref('int_departments_rejected') }}

)

select
    departments.department_id,
    departments.department,
    cast('departments' as varchar(100)) as table_name,
    departments.file_name,
    departments.row_number
from departments
where
    not exists (
        select 1
        from rejected
        where
            rejected.file_name = departments.file_name
            and rejected.row_number = departments.row_number
    )
