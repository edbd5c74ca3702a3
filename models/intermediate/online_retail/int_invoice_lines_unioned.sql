with invoice_lines as (

    select * from {{ ref('stg_online_retail__invoice_lines') }}

),

landed as (

    select * from {{ ref('stg_online_retail__streamed_lines') }}
    where not is_repeated

),

streamed_lines as (

    select * from landed
    where
        -- The same line of the same delivery: the file wins over the stream.
        not exists (
            select 1
            from invoice_lines
            where
                {{ delivery_name('invoice_lines.file_name') }} = {{ delivery_name('landed.file_name') }}
                and invoice_lines.row_number = landed.row_number
        )

)

{% for lines in ['invoice_lines', 'streamed_lines'] %}
select
    invoice_no,
    stock_code,
    customer_id,
    description,
    country,
    quantity,
    unit_price,
    has_other_date_order,
    {{ 'true' if lines == 'streamed_lines' else 'false' }} as is_streamed,
    invoiced_at,
    cast('invoice_lines' as varchar(100)) as table_name,
    file_name,
    row_number,
    raw_record,
    rejection_reason,
    rejection_detail
from {{ lines }}
{% if not loop.last %}
union all
{% endif %}
{% endfor %}
