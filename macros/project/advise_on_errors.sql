{% macro advise_on_errors(results) %}
    {% set never_built = 'A table that this selection reads was never built. Build everything once with dbt build; to build one '
        ~ 'source alone, use dbt build --selector instacart or --selector online_retail' %}
    {# The last is of Redshift: https://docs.aws.amazon.com/redshift/latest/dg/c_serial_isolation.html #}
    {% set advice = {
        'No space left on device': 'The disk is full. Free space there, or let WAREHOUSE_PATH name a file on a larger disk',
        'Out of Memory': 'The memory limit is too low. Raise DUCKDB_MEMORY_LIMIT, or set DUCKDB_THREADS to 1',
        ' does not exist': never_built,
        ' the relation doesn\'t exist': never_built,
        'Serializable isolation violation': 'Models wrote at the same time. Give the database snapshot isolation '
            ~ '(docs/redshift.md), or set REDSHIFT_THREADS to 1',
    } %}
    {% for sign, what_to_do in advice.items() %}
        {% for result in results if result.status == 'error' and sign in (result.message or '') %}
            {% if loop.first %}
                {% do log(
                    what_to_do ~ ', and run the same command again. Tables that failed keep the rows that they had.',
                    info=true
                ) %}
            {% endif %}
        {% endfor %}
    {% endfor %}
{% endmacro %}
