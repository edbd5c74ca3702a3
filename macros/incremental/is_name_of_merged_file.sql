{% macro is_name_of_merged_file(file_name) %}{{ file_name }} like '%.merged-%.ndjson'{% endmacro %}
