{% macro iam_role_literal(iam_role=none) %}
    {% set role = iam_role or env_var('REDSHIFT_IAM_ROLE', '') or 'default' %}
    {% set arn = 'arn:aws[a-z-]*:iam::[0-9]{12}:role/[A-Za-z0-9+=,.@_/-]+' %}
    {% if not modules.re.fullmatch('default|' ~ arn ~ '(,' ~ arn ~ ')*', role | string) %}
        {% do exceptions.raise_compiler_error(
            'iam_role, or REDSHIFT_IAM_ROLE, must be the ARN of a role such as arn:aws:iam::123456789012:role/loader, or '
            ~ 'default (now: ' ~ role ~ ').'
        ) %}
    {% endif %}
    {{ return('default' if role == 'default' else "'" ~ role ~ "'") }}
{% endmacro %}
