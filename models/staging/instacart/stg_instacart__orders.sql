{# Lines in the official spelling, nearly all, hold what the rules below ask for, and are not checked again. #}
{% set official = 'raw_record is null' %}
{% set rules = {
    'readable': [
        'order_id', 'user_id', 'order_number', 'order_dow', 'order_hour_of_day', 'days_since_prior_order'
    ],
    'keys': ['order_id', 'user_id'],
    'domains': {
        'eval_set': "eval_set in ('prior', 'train', 'test')",
        'order_number': 'order_number >= 1',
        'order_dow': 'order_dow between 0 and 6',
        'order_hour_of_day': 'order_hour_of_day between 0 and 23',
        'days_since_prior_order': 'days_since_prior_order is null or days_since_prior_order between 0 and 30',
    },
} %}

with source as (

    {{ touched_rows(source('instacart', 'orders')) }}

),

cleaned as (

    select
        {{ clean_text('order_id', unless=official) }} as order_id_text,
        {{ clean_text('user_id', unless=official) }} as user_id_text,
        {{ clean_text('eval_set', unless=official) }} as eval_set_text,
        {{ clean_text('order_number', unless=official) }} as order_number_text,
        {{ clean_text('order_dow', unless=official) }} as order_dow_text,
        {{ clean_text('order_hour_of_day', unless=official) }} as order_hour_of_day_text,
        {{ clean_text('days_since_prior_order', unless=official) }} as days_since_prior_order_text,
        file_name,
        row_number,
        raw_record,
        malformed_reason,
        malformed_detail
    from source

),

typed as (

    select
        *,
        {{ safe_integer('order_id_text', unless=official) }} as order_id,
        {{ safe_integer('user_id_text', unless=official) }} as user_id,
        eval_set_text as eval_set,
        {{ safe_integer('order_number_text', 'smallint', unless=official) }} as order_number,
        {{ safe_integer('order_dow_text', 'smallint', unless=official) }} as order_dow,
        {{ safe_integer('order_hour_of_day_text', 'smallint', unless=official) }} as order_hour_of_day,
        {{ safe_integer('days_since_prior_order_text', 'smallint') }} as days_since_prior_order
    from cleaned

)

select
    -- ids
    order_id,
    user_id,

    -- text
    eval_set,

    -- numerics
    order_number,
    order_dow,
    order_hour_of_day,
    days_since_prior_order,

    -- where the row came from and whether it can be accepted
    file_name,
    row_number,
    {{ displayed_record() }} as raw_record,
    {{ rejection_reason(rules, unless=official) }} as rejection_reason,
    {{ rejection_detail(rules, unless=official) }} as rejection_detail
from typed
