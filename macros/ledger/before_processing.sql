{% macro before_processing() %}
    {# `dbt clone` processes no rows; what it has made is built anew by the next run. #}
    {% if execute and model.config.meta.ledger is defined and flags.WHICH != 'clone' %}
        {% if not is_incremental() %}
            {{ return(
                forget_pending_files()
                ~ "delete from " ~ processed_files() ~ " where model_name = '" ~ model.name ~ "'"
            ) }}
        {% elif not model.config.meta.ledger.after %}
            {{ return(adapter.dispatch('before_processing', 'retail_warehouse')()) }}
        {% else %}
            {% set key = model.config.meta.ledger.key %}
            {{ return(
                'delete from ' ~ this ~ ' where ' ~ key ~ ' in (' ~ keys_in_files(model, pending_files(model)) ~ ')'
            ) }}
        {% endif %}
    {% endif %}
{% endmacro %}

{# A hook opens the transaction, so that the rows and the list of files are of one snapshot. #}
{% macro default__before_processing() %}
    {{ return('select count(*) from ' ~ processed_files()) }}
{% endmacro %}

{# Read by `is_pending_file`. #}
{% macro duckdb__before_processing() %}
    {{ return(
        'set variable pending_files = (select coalesce(list(file_name), []) from (' ~ pending_files(model) ~ ') as pending)'
    ) }}
{% endmacro %}
