{% macro untested_keys() %}
    {% set lineage = lineage_under_test(model) if execute and flags.WHICH == 'build' and not flags.FULL_REFRESH else none %}
    {% if not lineage %}
        {{ return(none) }}
    {% endif %}
    {% set name = lineage.node.name %}
    {# Tests run after their model, so all of them get one answer. #}
    {% set answers = kept_for_the_run('has_tested_files') %}
    {% if name not in answers %}
        {% do answers.update({name: run_query(
            "select count(tested_at) > 0 from " ~ processed_files() ~ " where model_name = '" ~ name ~ "'"
        ).columns[0].values()[0]}) %}
    {% endif %}
    {% set files %}
        select source_name, table_name, file_name from {{ processed_files() }}
        where model_name = '{{ name }}' and tested_at is null
    {% endset %}
    {{ return(keys_in_files(lineage, files, with_merged=true) if answers[name] else none) }}
{% endmacro %}
