{% macro iam_role_literal(iam_role=none) %}
    {% set role = iam_role or env_var('REDSHIFT_IAM_ROLE', 'default') %}
    {{ return('default' if role == 'default' else "'" ~ role | replace("'", "''") ~ "'") }}
{% endmacro %}
