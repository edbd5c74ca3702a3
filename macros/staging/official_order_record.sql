{% macro official_order_record() -%}
    cast(order_id as varchar) || ',' || cast(user_id as varchar) || ',' || eval_set || ','
    || cast(order_number as varchar) || ',' || cast(order_dow as varchar) || ','
    || lpad(cast(order_hour_of_day as varchar), 2, '0') || ','
    || coalesce(cast(days_since_prior_order as varchar) || '.0', '')
{%- endmacro %}
