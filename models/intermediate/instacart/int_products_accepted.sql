with products as (

    select * from {{ ref('stg_instacart__products') }}

),

rejected as (

    select
        file_name,
        row_number
    from {{ ref('int_products_rejected') }}

)

select
    products.product_id,
    products.product_name,
    products.aisle_id,
    products.department_id,
    cast('products' as varchar(100)) as table_name,
    products.file_name,
    products.row_number
from products
where
    not exists (
        select 1
        from rejected
        where
            rejected.file_name = products.file_name
            and rejected.row_number = products.row_number
    )
