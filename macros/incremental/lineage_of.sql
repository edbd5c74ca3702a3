{% macro lineage_of(unique_id) %}
    {% set known = kept_for_the_run('lineages') %}
    {% if unique_id not in known %}
        {% set node = graph.nodes[unique_id] %}
        {% set found = {'raw_tables': []} %}
        {% set nearest = {} %}
        {% for parent in node.depends_on.nodes or [] %}
            {% if parent.startswith('source.') and graph.sources[parent].meta.header is defined %}
                {% do found.raw_tables.append(graph.sources[parent]) %}
            {% elif parent.startswith('model.') %}
                {% set above = lineage_of(parent) %}
                {# A view or an ephemeral model is never behind: what counts is what it reads. #}
                {% do nearest.update({parent: above} if above.key else above.nearest) %}
            {% endif %}
        {% endfor %}
        {% set passed_by = [] %}
        {% set staged = {} %}
        {% for above in nearest.values() %}
            {% do passed_by.extend(above.above) %}
            {% do staged.update(above.staged) %}
        {% endfor %}
        {% set directly_above = [] %}
        {% for id, above in nearest | dictsort if id not in passed_by %}
            {% do directly_above.append(above) %}
        {% endfor %}
        {% set lineage = {
            'node': node,
            'key': node.config.meta.get('processed_by'),
            'raw_table': found.raw_tables | first if found.raw_tables else none,
            'nearest': nearest,
            'directly_above': directly_above,
            'above': (passed_by + nearest | list) | unique | list,
            'staged': staged,
        } %}
        {% if lineage.raw_table %}
            {% do staged.update({unique_id: lineage}) %}
        {% endif %}
        {% do known.update({unique_id: lineage}) %}
    {% endif %}
    {{ return(known[unique_id]) }}
{% endmacro %}
