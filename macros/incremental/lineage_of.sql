{% macro staged_models(node) %}
    {% set names = node.config.meta.ledger.files_of or [node.name] %}
    {% set models = [] %}
    {% for name in names %}
        {% do models.append(graph.nodes['model.retail_warehouse.' ~ name]) %}
    {% endfor %}
    {{ return(models) }}
{% endmacro %}
