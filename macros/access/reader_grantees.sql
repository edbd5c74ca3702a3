{% macro reader_grantees() %}
    {% set reader = var('reader') %}
    {% if reader and not modules.re.fullmatch('((role|group|user):)?[A-Za-z_][A-Za-z0-9_$]*', reader | string) %}
        {% do exceptions.raise_compiler_error(
            'The var reader must be role:<name>, group:<name> or the name of a user (now: ' ~ reader ~ ').'
        ) %}
    {% endif %}
    {{ return([reader] if reader else []) }}
{% endmacro %}
