{% test rejected_rows_within_limit(model) %}

select
    table_name,
    raw_rows,
    sum(rejected_rows) as rejected_rows
from {{ model }}
group by table_name, raw_rows
having
    sum(rejected_rows) > {{ var('max_rejected_rows') }}
    and sum(rejected_rows) > {{ var('max_rejected_share') }} * raw_rows

{% endtest %}
