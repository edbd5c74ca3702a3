{% macro untested_keys() %}
    {% set node = model_under_test(model) if execute and flags.WHICH == 'build' and not flags.FULL_REFRESH else none %}
    {% if not node %}
        {{ return(none) }}
    {% endif %}
    {% set files %}
        select source_name, table_name, file_name from {{ processed_files() }}
        where model_name = '{{ node.name }}' and tested_at is null
    {% endset %}
    {% set has_tested_files = run_query(
        "select count(tested_at) > 0 from " ~ processed_files() ~ " where model_name = '" ~ node.name ~ "'"
    ).columns[0].values()[0] %}
    {{ return(keys_in_files(node, files, with_merged=true) if has_tested_files else none) }}
{% endmacro %}
