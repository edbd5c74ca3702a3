with orders as (

    {{ touched_rows(ref('stg_instacart__orders'), with_unkeyed=true) }}

),

candidates as (

    select * from orders
    where {{ readable_with_key() }}

),

duplicates as (

    {{ later_duplicates('candidates', ['order_id']) }}

)

select
    cast('orders' as varchar(100)) as table_name,
    orders.file_name,
    orders.row_number,
    case when duplicates.row_number is not null then 'duplicate_key' else orders.rejection_reason end as reason,
    case
        when duplicates.row_number is not null
            then 'order_id = ' || cast(orders.order_id as varchar) || ' stands in an earlier row'
        else orders.rejection_detail
    end as detail,
    coalesce(orders.raw_record, {{ official_order_record() }}) as raw_record,
    orders.order_id,
    orders.user_id
from orders
left join duplicates
    on
        orders.file_name = duplicates.file_name
        and orders.row_number = duplicates.row_number
where orders.rejection_reason is not null or duplicates.row_number is not null
