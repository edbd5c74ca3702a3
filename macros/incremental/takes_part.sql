{# `dbt clone` processes no rows; what it has made is built anew by the next run. #}
{% macro takes_part() %}
    {{ return(execute and model.config.meta.processed_by is defined and flags.WHICH != 'clone') }}
{% endmacro %}
