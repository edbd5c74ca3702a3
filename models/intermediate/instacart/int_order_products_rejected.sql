{# Written out in each place: as a common table expression DuckDB would write 33 million rows to disk before it reads
   them. #}
{% set order_products = '(' ~ touched_rows(ref('int_order_products_unioned'), with_unkeyed=true) ~ ')' %}
{% set candidates %}
    (
        select
            file_name,
            row_number,
            order_id,
            product_id
        from {{ order_products }} as order_products
        where
            {{ readable_with_key() }}
            and file_name not in (select repeated_files.file_name from repeated_files)
    )
{% endset %}

with orders as (

    select order_id from {{ ref('int_orders_accepted') }}

),

products as (

    select product_id from {{ ref('int_products_accepted') }}

),

repeated_files as (

    {{ repeated_files(
        ref('int_order_products_unioned'),
        'order_id',
        [],
        ['order_id', 'product_id', 'add_to_cart_order', 'reordered'],
    ) }}

),

duplicates as (

    {{ later_duplicates(candidates, ['order_id', 'product_id']) }}

),

judged as (

    select
        order_products.*,
        repeated_files.other_name as repeated_in,
        case
            when not {{ readable_with_key() }} then order_products.rejection_reason
            when repeated_files.file_name is not null or duplicates.row_number is not null then 'duplicate_key'
            when orders.order_id is null or products.product_id is null then 'missing_parent'
            else order_products.rejection_reason
        end as reason,
        case when orders.order_id is null then 'order_id' else 'product_id' end as orphaned_column,
        case when orders.order_id is null then order_products.order_id else order_products.product_id end as orphaned_id
    from {{ order_products }} as order_products
    left join duplicates
        on
            order_products.file_name = duplicates.file_name
            and order_products.row_number = duplicates.row_number
    left join repeated_files
        on order_products.file_name = repeated_files.file_name
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
    case
        when repeated_in is not null and reason = 'duplicate_key'
            then 'all rows of the file are in ' || repeated_in || ' as well'
        when reason = 'duplicate_key'
            then 'order_id, product_id = ' || cast(order_id as varchar) || ', ' || cast(product_id as varchar)
                || ' is already in an earlier row'
        when reason = 'missing_parent'
            then orphaned_column || ' = ' || cast(orphaned_id as varchar) || ' is not among the accepted '
                || case orphaned_column when 'order_id' then 'orders' else 'products' end
        else rejection_detail
    end as detail,
    coalesce(raw_record, {{ official_order_product_record() }}) as raw_record,
    repeated_in is not null as is_of_left_out_file,
    order_id
from judged
where reason is not null
