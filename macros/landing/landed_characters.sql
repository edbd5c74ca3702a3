{% macro landed_characters() %}
    {{ return(1000) }}
{% endmacro %}
