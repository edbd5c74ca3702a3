-- A line that was landed stands among the invoice lines, unless it contradicts the line of the same delivery and number
-- that came first.
{% set columns %}
    invoice_no,
    stock_code,
    customer_id,
    description,
    country,
    quantity,
    unit_price,
    invoiced_at,
    file_name,
    row_number,
    rejection_reason,
    rejection_detail
{% endset %}

select {{ columns }} from {{ ref('stg_online_retail__streamed_lines') }}
except
select {{ columns }} from {{ ref('int_invoice_lines_unioned') }}
