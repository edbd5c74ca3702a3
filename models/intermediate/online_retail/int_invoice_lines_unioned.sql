with streamed_lines as (

    select * from {{ ref('stg_online_retail__streamed_lines') }}
    where not is_repeated

),

invoice_lines as (

    select * from {{ ref('stg_online_retail__invoice_lines') }}

)

select
    invoice_no,
    stock_code,
    customer_id,
    description,
    country,
    quantity,
    unit_price,
    has_other_date_order,
    invoiced_at,
    cast('invoice_lines' as varchar(100)) as table_name,
    file_name,
    row_number,
    raw_record,
    rejection_reason,
    rejection_detail
from invoice_lines
union all
select
    invoice_no,
    stock_code,
    customer_id,
    description,
    country,
    quantity,
    unit_price,
    has_other_date_order,
    invoiced_at,
    cast('invoice_lines' as varchar(100)) as table_name,
    file_name,
    row_number,
    raw_record,
    rejection_reason,
    rejection_detail
from streamed_lines
where
    -- The same line of the same delivery: what the file says stays.
    not exists (
        select 1
        from invoice_lines
        where
            invoice_lines.file_name = streamed_lines.file_name
            and invoice_lines.row_number = streamed_lines.row_number
    )
