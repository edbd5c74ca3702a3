with order_products as (

    select * from {{ ref('int_order_products_unioned') }}

),

rejected as (

    select
        file_name,
        row_number
    from {{ ref('int_order_products_rejected') }}

)

select
    order_products.order_id,
    order_products.product_id,
    order_products.add_to_cart_order,
    order_products.reordered,
    order_products.table_name,
    order_products.file_name,
    order_products.row_number
from order_products
where
    not exists (
        select 1
        from rejected
        where
            rejected.file_name = order_products.file_name
            and rejected.row_number = order_products.row_number
    )
