{% macro selected_raw_tables() %}
    {% set wanted_ids = [] %}
    {% for node_id in selected_resources if node_id in graph.nodes %}
        {% do wanted_ids.extend(graph.nodes[node_id].depends_on.nodes | select('in', graph.sources) | list) %}
    {% endfor %}
    {% set by_source = {} %}
    {% for table in graph.sources.values() | sort(attribute='unique_id') %}
        {% if table.unique_id in wanted_ids %}
            {% do by_source.setdefault(table.source_name, []).append(table) %}
        {% endif %}
    {% endfor %}
    {# The list of a source's files needs every file of that source. #}
    {% for source_name, tables in by_source.items() if tables | selectattr('meta.lists_files', 'true') | list %}
        {% for table in graph.sources.values() | sort(attribute='unique_id')
            if table.source_name == source_name and table not in tables %}
            {% do tables.append(table) %}
        {% endfor %}
    {% endfor %}
    {{ return(by_source) }}
{% endmacro %}
