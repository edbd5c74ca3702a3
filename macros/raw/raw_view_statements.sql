{% macro raw_view_statements(source_name, queries, files) %}
    {% set file_list = file_list_of(source_name) %}
    {% set schema = api.Relation.create(schema=file_list.schema).include(database=false, identifier=false) %}
    {% set statements = ['create schema if not exists ' ~ schema] %}
    {% for identifier, query in queries.items() %}
        {% do statements.append('create or replace view ' ~ schema ~ '.' ~ identifier ~ ' as ' ~ query) %}
    {% endfor %}
    {# A table, since the list may be long and is asked for by every model. #}
    {% set listed = schema ~ '.listed_files' %}
    {% do statements.append('create or replace table ' ~ listed ~ ' as ' ~ raw_file_list_query(files)) %}
    {% do statements.append('create or replace view ' ~ schema ~ '.' ~ file_list.identifier ~ ' as select * from ' ~ listed) %}
    {{ return(statements) }}
{% endmacro %}
