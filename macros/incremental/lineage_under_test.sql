{% macro lineage_under_test(test) %}
    {% set name = test.config.meta.tests_rows_of %}
    {% if test.attached_node %}
        {% set attached = lineage_of(test.attached_node) %}
        {% if attached.node.config.materialized == 'view' %}
            {% set name = attached.node.config.meta.tests_rows_of %}
        {% elif attached.key and attached.key in attached.node.config.meta.grain %}
            {{ return(attached) }}
        {% endif %}
    {% endif %}
    {{ return(lineage_of('model.' ~ test.package_name ~ '.' ~ name) if name else none) }}
{% endmacro %}
