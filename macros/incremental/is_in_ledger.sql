{# `dbt clone` processes no rows; what it has made is built anew by the next run. #}
{% macro is_in_ledger() %}
    {{ return(execute and model.config.meta.processed_by is defined and flags.WHICH != 'clone') }}
{% endmacro %}
