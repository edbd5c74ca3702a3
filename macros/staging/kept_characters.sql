{# One more than the longest accepted text, so that a longer text is still recognised as too long. #}
{% macro kept_characters() %}
    {{ return(1001) }}
{% endmacro %}
