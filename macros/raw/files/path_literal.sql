{% macro path_literal(path, suffix='') %}
    {# In a glob, a character in brackets stands for itself. #}
    {% set plain = path | replace('[', '[[]') | replace('*', '[*]') | replace('?', '[?]') %}
    {{ return("'" ~ (plain ~ suffix) | replace("'", "''") ~ "'") }}
{% endmacro %}
