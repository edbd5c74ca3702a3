{% macro run_statements(statements, dry_run) %}
    {% if dry_run is not boolean %}
        {% do exceptions.raise_compiler_error('dry_run must be true or false (now: ' ~ dry_run ~ ').') %}
    {% endif %}
    {% for statement in statements %}
        {% if dry_run %}
            {% do print(statement ~ ';') %}
        {% else %}
            {% do log(statement.split('\n')[0], info=true) %}
            {% do run_query(statement) %}
        {% endif %}
    {% endfor %}
{% endmacro %}
