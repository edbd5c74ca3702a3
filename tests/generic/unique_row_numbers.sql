{% test unique_row_numbers(model) %}
    {{ repeated_row_numbers(model) }}
{% endtest %}
