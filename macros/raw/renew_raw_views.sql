{% macro renew_raw_views(tables) %}
    {% set found = {} %}
    {% for source_name, wanted in tables.items() %}
        {% do found.update({source_name: raw_source(source_name, wanted)}) %}
    {% endfor %}
    {# Only after every file of every selected source has passed is anything replaced. #}
    {% do refuse_unreadable_sources(found) %}
    {% for source_name, source in found.items() %}
        {% for statement in raw_view_statements(source_name, source.queries, source.files) %}
            {% do run_query(statement) %}
        {% endfor %}
    {% endfor %}
{% endmacro %}
