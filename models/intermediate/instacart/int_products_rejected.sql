with products as (

    select * from {{ ref('stg_instacart__products') }}

),

aisles as (

    select aisle_id from {{ ref('int_aisles_accepted') }}

),

departments as (

    select department_id from {{ ref('int_departments_accepted') }}

),

candidates as (

    select * from products
    where {{ readable_with_key() }}

),

duplicates as (

    {{ later_duplicates('candidates', ['product_id']) }}

),

judged as (

    select
        products.*,
        case
            when not {{ readable_with_key() }} then products.rejection_reason
            when duplicates.row_number is not null then 'duplicate_key'
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
    case reason
        when 'duplicate_key' then 'product_id = ' || cast(product_id as varchar) || ' stands in an earlier row'
        when 'missing_parent'
            then orphaned_column || ' = ' || cast(orphaned_id as varchar) || ' is not among the accepted '
                || case orphaned_column when 'aisle_id' then 'aisles' else 'departments' end
        else rejection_detail
    end as detail,
    raw_record
from judged
where reason is not null
