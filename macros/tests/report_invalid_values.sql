{% macro report_invalid_values(results) %}
    {% for result in results if execute and result.status in ['fail', 'warn'] and result.node.test_metadata %}
        {% if result.node.test_metadata.name == 'valid_values' %}
            {% for row in run_query(
                'select fault, count(*) from (' ~ result.node.compiled_code ~ ') as faults group by fault order by fault'
            ) %}
                {% do log(result.node.name ~ ': ' ~ row[0] ~ ' in ' ~ row[1] ~ (' row' if row[1] == 1 else ' rows'), info=true) %}
            {% endfor %}
        {% endif %}
    {% endfor %}
{% endmacro %}
