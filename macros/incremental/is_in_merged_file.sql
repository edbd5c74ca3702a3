{% macro is_in_merged_file(landing_file, file_name) %}
    {# Named `<first>--<day of the last>--<last>.merged-<times>.ndjson`, the first and the last being landed files. #}
    {{ is_name_of_merged_file(file_name) }}
    and {{ landing_file }} >= split_part({{ file_name }}, '--', 1)
    and {{ landing_file }} <= split_part({{ file_name }}, '--', 2) || '/'
        || split_part(split_part({{ file_name }}, '--', 3), '.merged-', 1) || '.ndjson'
{% endmacro %}
