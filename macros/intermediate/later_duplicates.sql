{% macro later_duplicates(rows, key) %}
    select
        ranked.file_name,
        ranked.row_number
    from (
        select
            candidates.file_name,
            candidates.row_number,
            row_number() over (
                partition by candidates.{{ key | join(', candidates.') }}
                order by candidates.file_name, candidates.row_number
            ) as place_among_duplicates
        from {{ rows }} as candidates
        {# Only the rows of repeated keys are ranked, so that a clean file is never sorted. #}
        inner join (
            select {{ key | join(', ') }}
            from {{ rows }} as candidates
            group by {{ key | join(', ') }}
            having count(*) > 1
        ) as repeated
            on {% for column in key %}candidates.{{ column }} = repeated.{{ column }}{{ ' and ' if not loop.last }}{% endfor %}
    ) as ranked
    where ranked.place_among_duplicates > 1
{% endmacro %}
