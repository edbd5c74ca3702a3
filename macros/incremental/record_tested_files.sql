{% macro record_tested_files(results) %}
    {% if execute and flags.WHICH in ['build', 'test'] and not is_of_part_of_the_rows() %}
        {% set passed = results | selectattr('status', 'equalto', 'pass') | map(attribute='node.unique_id') | list %}
        {% set untested = [] %}
        {% set tested = [] %}
        {% for test in graph.nodes.values() | selectattr('resource_type', 'equalto', 'test') if passed %}
            {% set lineage = lineage_under_test(test) %}
            {% if lineage %}
                {% do (tested if test.unique_id in passed else untested).append(lineage.node.name) %}
            {% endif %}
        {% endfor %}
        {% set complete = tested | unique | reject('in', untested) | list %}
        {% if complete %}
            {% set statement %}
                update {{ processed_files() }}
                set tested_at = cast({{ dbt.current_timestamp() }} as timestamp)
                where tested_at is null and model_name in ('{{ complete | join("', '") }}')
            {% endset %}
            {% do run_query(statement) %}
        {% endif %}
    {% endif %}
{% endmacro %}
