{% macro model_under_test(test) %}
    {% set name = test.config.meta.tests_rows_of %}
    {% if test.attached_node %}
        {% set attached = graph.nodes[test.attached_node] %}
        {% if attached.config.materialized == 'view' %}
            {% set name = attached.config.meta.tests_rows_of %}
        {% elif attached.config.meta.ledger is defined and attached.config.meta.ledger.key in attached.config.meta.grain %}
            {% set name = attached.name %}
        {% endif %}
    {% endif %}
    {{ return(graph.nodes['model.retail_warehouse.' ~ name] if name else none) }}
{% endmacro %}
