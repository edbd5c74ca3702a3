{% macro selected_raw_tables() %}
    {% set wanted_ids = [] %}
    {% for node_id in selected_resources if node_id in graph.nodes %}
        {% do wanted_ids.extend(graph.nodes[node_id].depends_on.nodes | select('in', graph.sources) | list) %}
    {% endfor %}
    {% set by_source = {} %}
    {% for table in graph.sources.values() | sort(attribute='unique_id') %}
        {% if table.unique_id in wanted_ids and table.source_meta.folder_variable %}
            {% do by_source.setdefault(table.source_name, []).append(table) %}
        {% endif %}
    {% endfor %}
    {{ return(by_source) }}
{% endmacro %}
