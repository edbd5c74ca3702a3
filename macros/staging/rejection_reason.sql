{% macro rejection_reason(rules, unless=none) -%}
    case
        {%- if unless %}
        when {{ unless }} then null
        {%- endif %}
        when malformed_reason is not null then malformed_reason
        {%- for column in rules.readable %}
        when {{ column }} is null and {{ column }}_text is not null then 'unreadable_value'
        {%- endfor %}
        {%- for column in rules['keys'] %}
        when {{ column }} is null then 'missing_key'
        {%- endfor %}
        {%- for column, condition in rules.domains.items() %}
        when not coalesce({{ condition }}, false) then 'out_of_domain'
        {%- endfor %}
    end
{%- endmacro %}
