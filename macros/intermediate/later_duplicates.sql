{% macro later_duplicates(rows, key) %}
    select
        ranked.file_name,
        ranked.row_number
    from (
        select
            {{ rows }}.file_name,
            {{ rows }}.row_number,
            row_number() over (
                partition by {{ rows }}.{{ key | join(", " ~ rows ~ ".") }}
                order by {{ rows }}.file_name, {{ rows }}.row_number
            ) as place_among_duplicates
        from {{ rows }}
        {# Only the rows of repeated keys are ranked, so that a clean file is never sorted. #}
        inner join (
            select {{ key | join(', ') }}
            from {{ rows }}
            group by {{ key | join(', ') }}
            having count(*) > 1
        ) as repeated
            on {% for column in key %}{{ rows }}.{{ column }} = repeated.{{ column }}{{ ' and ' if not loop.last }}{% endfor %}
    ) as ranked
    where ranked.place_among_duplicates > 1
{% endmacro %}
