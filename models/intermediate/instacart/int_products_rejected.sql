with products as (

    select * from {{ ref('stg_instacart__products') }}

),

aisles as (

    select aisle_id from {{ ref('int_aisles_accepted') }}

),

departments as (

    select department_id from {{ ref('int_departments_accepted') }}

),

repeated_files as (

    {{ repeated_files(
        ref('stg_instacart__products'),
        'product_id',
        ['product_name'],
        ['product_id', 'aisle_id', 'department_id'],
    ) }}

),

candidates as (

    select products.*
    from products
    left join repeated_files
        on products.file_name = repeated_files.file_name
    where
        {{ readable_with_key() }}
        and repeated_files.file_name is null

),

duplicates as (

    {{ later_duplicates('candidates', ['product_id']) }}

),

judged as (

    select
        products.*,
        repeated_files.other_name as repeated_in,
        case
            when not {{ readable_with_key() }} then products.rejection_reason
            when repeated_files.file_name is not null or duplicates.row_number is not null then 'duplicate_key'
            when aisles.aisle_id is null or departments.department_id is null then 'missing_parent'
            else products.rejection_reason
        end as reason,
        case when aisles.aisle_id is null then 'aisle_id' else 'department_id' end as orphaned_column,
        case when aisles.aisle_id is null then products.aisle_id else products.department_id end as orphaned_id
    from products
    left join duplicates
        on
            products.file_name = duplicates.file_name
            and products.row_number = duplicates.row_number
    left join repeated_files
        on products.file_name = repeated_files.file_name
    left join aisles
        on products.aisle_id = aisles.aisle_id
    left join departments
        on products.department_id = departments.department_id

)

select
    cast('products' as varchar(100)) as table_name,
    file_name,
    row_number,
    reason,
    case
        when repeated_in is not null and reason = 'duplicate_key'
            then 'all rows of the file are in ' || repeated_in || ' as well'
        when reason = 'duplicate_key'
            then 'product_id = ' || cast(product_id as varchar) || ' is already in an earlier row'
        when reason = 'missing_parent'
            then orphaned_column || ' = ' || cast(orphaned_id as varchar) || ' is not among the accepted '
                || case orphaned_column when 'aisle_id' then 'aisles' else 'departments' end
        else rejection_detail
    end as detail,
    raw_record,
    repeated_in is not null as is_of_left_out_file
from judged
where reason is not null
