with streamed_lines as (

    {{ online_retail_lines_query('streamed_lines', landed=['landing_file', 'landing_position']) }}

),

earlier as (

    {% if reads_pending_files_only() %}
    select distinct
        streamed_lines.file_name,
        streamed_lines.row_number
    from streamed_lines
    inner join {{ this }} as staged
        on
            {{ delivery_name('streamed_lines.file_name') }} = {{ delivery_name('staged.file_name') }}
            and streamed_lines.row_number = staged.row_number
    {% else %}
    select
        file_name,
        row_number
    from streamed_lines
    where 1 = 0
    {% endif %}

)

select
    -- ids
    streamed_lines.invoice_no,
    streamed_lines.stock_code,
    streamed_lines.customer_id,

    -- text
    streamed_lines.description,
    streamed_lines.country,

    -- numerics
    streamed_lines.quantity,
    streamed_lines.unit_price,

    -- booleans
    streamed_lines.has_other_date_order,
    streamed_lines.is_date_order_certain,
    earlier.row_number is not null
    or row_number() over (
        partition by {{ delivery_name('streamed_lines.file_name') }}, streamed_lines.row_number
        order by streamed_lines.landing_file asc, streamed_lines.landing_position asc
    ) > 1 as is_repeated,

    -- timestamps
    streamed_lines.invoiced_at,

    -- where the row came from and whether it can be accepted
    streamed_lines.file_name,
    streamed_lines.row_number,
    streamed_lines.landing_file,
    streamed_lines.landing_position,
    streamed_lines.raw_record,
    streamed_lines.rejection_reason,
    streamed_lines.rejection_detail
from streamed_lines
left join earlier
    on
        streamed_lines.file_name = earlier.file_name
        and streamed_lines.row_number = earlier.row_number
