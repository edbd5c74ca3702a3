{% set columns %}
    invoice_no,
    stock_code,
    customer_id,
    description,
    country,
    quantity,
    unit_price,
    invoiced_at,
    {{ delivery_name('file_name') }} as delivery,
    row_number,
    raw_record,
    rejection_reason,
    rejection_detail
{% endset %}

select {{ columns }} from {{ ref('stg_online_retail__streamed_lines') }} as streamed_lines
where
    not exists (
        select 1
        from {{ ref('int_streamed_lines_rejected') }} as rejected
        where
            rejected.file_name = streamed_lines.landing_file
            and rejected.row_number = streamed_lines.landing_position
    )
except
select {{ columns }} from {{ ref('int_invoice_lines_unioned') }}
