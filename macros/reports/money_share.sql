{# Both in thousandths of a pound or, of more than what the products of `ratio` can hold, in thousands of pounds. #}
{% macro money_share(part, whole, precision=7, scale=6) -%}
    {% set is_large = 'coalesce(' ~ whole ~ ', 0) >= 1000000000 or coalesce(' ~ part ~ ', 0) >= 1000000000' -%}
    {{ ratio(
        'case when ' ~ is_large ~ ' then ' ~ part ~ ' / 1000 else ' ~ part ~ ' * 1000 end',
        'case when ' ~ is_large ~ ' then ' ~ whole ~ ' / 1000 else ' ~ whole ~ ' * 1000 end',
        precision, scale
    ) }}
{%- endmacro %}
