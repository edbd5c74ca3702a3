{% macro row_content(texts, others) -%}
    {# A row that was read is what was read of it, however it was spelt; one that could not be split is its line. #}
    {% set parts = [] %}
    {% for column in texts %}
        {% do parts.append("coalesce(" ~ column ~ ", '')") %}
    {% endfor %}
    {% for column in others %}
        {% do parts.append("coalesce(cast(" ~ column ~ " as varchar), '')") %}
    {% endfor %}
    {% do parts.append("coalesce(rejection_detail, '')") %}
    {% do parts.append("case when rejection_reason in ('wrong_field_count', 'broken_quote') then raw_record else '' end") %}
    {{- return(parts | join(" || '|' || ")) -}}
{%- endmacro %}
