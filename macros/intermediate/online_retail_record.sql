{% macro online_retail_record(lines) -%}
    left(
        coalesce({{ lines }}.invoice_no, '') || ',' || coalesce({{ lines }}.stock_code, '') || ','
        || coalesce({{ lines }}.description, '') || ',' || coalesce(cast({{ lines }}.quantity as varchar), '') || ','
        || coalesce(cast({{ lines }}.invoiced_at as varchar), '') || ','
        || coalesce(cast({{ lines }}.unit_price as varchar), '') || ',' || coalesce({{ lines }}.customer_id, '') || ','
        || coalesce({{ lines }}.country, ''),
        1000
    )
{%- endmacro %}
