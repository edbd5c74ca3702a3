{% test no_rejected_rows(model) %}

select table_name, file_name, row_number, reason, detail
from {{ model }}

{% endtest %}
