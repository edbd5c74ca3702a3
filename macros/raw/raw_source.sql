{% macro raw_source(source_name, wanted) %}
    {% set listed = listed_files_of(source_name) %}
    {% set problems = listed.problems %}
    {% set files = [] %}
    {% set queries = {} %}
    {% set read_all = file_list_of(source_name) in wanted %}
    {% for of_table in listed.by_table %}
        {% set table = of_table.table %}
        {% if table.meta.landing_variable is defined %}
            {% set streamed = streamed_files(table) %}
            {% do problems.extend(streamed.problems) %}
            {% do files.extend(streamed.files) %}
            {% do queries.update({table.identifier: streamed_lines_query(
                table, landed_events(streamed.folder, streamed.files | map(attribute='name') | list)
            )}) %}
        {% elif table in wanted or read_all %}
            {% set look = raw_table_files(table, listed.folder, of_table.names, listed.fingerprints, table.source_meta) %}
            {% do problems.extend(look.problems) %}
            {% do files.extend(look.files) %}
            {% do queries.update({table.identifier: raw_table_query(look.files, table.meta.header)}) %}
        {% else %}
            {% do files.extend(files_without_a_look(table, of_table.names, listed.fingerprints)) %}
        {% endif %}
    {% endfor %}
    {{ return({'folder': listed.folder, 'files': files, 'queries': queries, 'problems': problems}) }}
{% endmacro %}
