{% macro is_merged_file(name) %}
    {{ return('.merged-' in name) }}
{% endmacro %}
