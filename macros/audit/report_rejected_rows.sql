{% macro report_rejected_rows(results) %}
    {% if execute and flags.WHICH in ['build', 'run'] %}
        {% for result in results
            if result.status == 'success' and result.node.config.meta.lists_rejected_rows %}
            {% do report_rejected_rows_of(result.node) %}
        {% endfor %}
    {% endif %}
{% endmacro %}
