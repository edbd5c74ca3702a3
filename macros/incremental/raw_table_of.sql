{% macro raw_table_of(staged) %}
    {{ return(graph.sources[staged.depends_on.nodes[0]]) }}
{% endmacro %}
