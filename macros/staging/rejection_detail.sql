{% macro rejection_detail(rules, unless=none) -%}
    case
        {%- if unless %}
        when {{ unless }} then null
        {%- endif %}
        when malformed_reason is not null then malformed_detail
        {%- for column in rules.readable %}
        when {{ column }} is null and {{ column }}_text is not null
            then '{{ column }} = ''' || left({{ column }}_text, 100) || ''''
        {%- endfor %}
        {%- for column in rules['keys'] %}
        when {{ column }} is null then '{{ column }} is empty'
        {%- endfor %}
        {%- for column, condition in rules.domains.items() %}
        when not coalesce({{ condition }}, false)
            then '{{ column }} ' || coalesce('= ''' || left({{ column }}_text, 100) || '''', 'is empty')
        {%- endfor %}
    end
{%- endmacro %}
