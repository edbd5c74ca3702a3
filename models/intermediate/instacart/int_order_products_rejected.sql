with order_products as (

    {{ touched_rows(ref('int_order_products_unioned'), with_unkeyed=true) }}

),

orders as (

    select order_id from {{ ref('int_orders_accepted') }}

),

products as (

    select product_id from {{ ref('int_products_accepted') }}

),

candidates as (

    select * from order_products
    where {{ readable_with_key() }}

),

duplicates as (

    {{ later_duplicates('candidates', ['order_id', 'product_id']) }}

),

judged as (

    select
        order_products.*,
        case
            when not {{ readable_with_key() }} then order_products.rejection_reason
            when duplicates.row_number is not null then 'duplicate_key'
            when orders.order_id is null or products.product_id is null then 'missing_parent'
            else order_products.rejection_reason
        end as reason,
        case when orders.order_id is null then 'order_id' else 'product_id' end as orphaned_column,
        case when orders.order_id is null then order_products.order_id else order_products.product_id end as orphaned_id
    from order_products
    left join duplicates
        on
            order_products.file_name = duplicates.file_name
            and order_products.row_number = duplicates.row_number
    left join orders
        on order_products.order_id = orders.order_id
    left join products
        on order_products.product_id = products.product_id

)

select
    table_name,
    file_name,
    row_number,
    reason,
    case reason
        when 'duplicate_key'
            then 'order_id, product_id = ' || cast(order_id as varchar) || ', ' || cast(product_id as varchar)
                || ' stands in an earlier row'
        when 'missing_parent'
            then orphaned_column || ' = ' || cast(orphaned_id as varchar) || ' is not among the accepted '
                || case orphaned_column when 'order_id' then 'orders' else 'products' end
        else rejection_detail
    end as detail,
    coalesce(raw_record, {{ official_order_product_record() }}) as raw_record,
    order_id
from judged
where reason is not null
