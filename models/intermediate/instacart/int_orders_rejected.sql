with orders as (

    {{ touched_rows(ref('stg_instacart__orders'), with_unkeyed=true) }}

),

repeated_files as (

    {{ repeated_files(
        ref('stg_instacart__orders'),
        'order_id',
        ['eval_set'],
        ['order_id', 'user_id', 'order_number', 'order_dow', 'order_hour_of_day', 'days_since_prior_order'],
    ) }}

),

candidates as (

    select orders.*
    from orders
    left join repeated_files
        on orders.file_name = repeated_files.file_name
    where
        {{ readable_with_key() }}
        and repeated_files.file_name is null

),

duplicates as (

    {{ later_duplicates('candidates', ['order_id']) }}

)

select
    cast('orders' as varchar(100)) as table_name,
    orders.file_name,
    orders.row_number,
    case
        when not {{ readable_with_key() }} then orders.rejection_reason
        when repeated_files.file_name is not null or duplicates.row_number is not null then 'duplicate_key'
        else orders.rejection_reason
    end as reason,
    case
        when not {{ readable_with_key() }} then orders.rejection_detail
        when repeated_files.file_name is not null
            then 'all rows of the file are in ' || repeated_files.other_name || ' as well'
        when duplicates.row_number is not null
            then 'order_id = ' || cast(orders.order_id as varchar) || ' is already in an earlier row'
        else orders.rejection_detail
    end as detail,
    coalesce(orders.raw_record, {{ official_order_record() }}) as raw_record,
    repeated_files.file_name is not null as is_of_left_out_file,
    orders.order_id,
    orders.user_id
from orders
left join duplicates
    on
        orders.file_name = duplicates.file_name
        and orders.row_number = duplicates.row_number
left join repeated_files
    on orders.file_name = repeated_files.file_name
where
    orders.rejection_reason is not null
    or duplicates.row_number is not null
    or repeated_files.file_name is not null
