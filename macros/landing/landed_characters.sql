{# One more than the longest text that is accepted, so that a longer one is still seen to be longer. #}
{% macro landed_characters() %}
    {{ return(1001) }}
{% endmacro %}
