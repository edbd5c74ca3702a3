{% macro raw_tables_of(source_name, names=none) %}
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
    {% set found = by_source[source_name] %}
    {% for name in names or [] if name not in found | map(attribute='name') %}
        {% do exceptions.raise_compiler_error(
            'The source ' ~ source_name ~ ' has no raw table ' ~ name ~ '; it has ' ~ found | map(attribute='name') | join(', ') ~ '.'
        ) %}
    {% endfor %}
    {{ return(found | selectattr('name', 'in', names) | list if names else found) }}
{% endmacro %}
