{% macro raw_tables_of(source_name) %}
    {# The ledger is not loaded from files, and has neither variable. #}
    {% set by_source = {} %}
    {% for table in graph.sources.values() | sort(attribute='name') %}
        {% if table.source_meta.folder_variable or table.source_meta.parquet_folder_variable %}
            {% do by_source.setdefault(table.source_name, []).append(table) %}
        {% endif %}
    {% endfor %}
    {% if source_name not in by_source %}
        {% do exceptions.raise_compiler_error(
            'There is no source ' ~ source_name ~ ' of raw files; there are ' ~ by_source | sort | join(', ') ~ '.'
        ) %}
    {% endif %}
    {{ return(by_source[source_name]) }}
{% endmacro %}
