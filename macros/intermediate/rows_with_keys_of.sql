{% macro rows_with_keys_of(rows, lines, key, content) %}
        select
            file_name,
            {{ content }} as content
        from {{ lines }}
        where {{ key }} in (select row_key from {{ rows }} where row_key is not null)
        union all
        select
            file_name,
            {{ content }} as content
        from {{ lines }}
        where
            {{ key }} is null
            and (select count(*) from {{ rows }} where row_key is null) > 0
{% endmacro %}
