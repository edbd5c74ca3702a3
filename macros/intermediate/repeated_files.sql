{% macro repeated_files(lines, key, texts, others) %}
    {# A file can only stand in another one as a whole if its first row does, and then its first hundred. They are looked for before
       anything is counted, so that thousands of files that repeat nothing cost no more than a look at the keys; a single file costs
       nothing. Line 1 of a file is its header. #}
    {% set content = row_content(texts, others) %}
    with first_row_of_files as (

        select
            file_name,
            {{ key }} as row_key,
            {{ content }} as content
        from {{ lines }}
        where row_number = 2

    ),

    first_row_of_several_files as (

        select * from first_row_of_files
        where (select count(*) from first_row_of_files) > 1

    ),

    near_first_row as (

        select
            file_name,
            {{ content }} as content
        from {{ lines }}
        where {{ key }} in (select row_key from first_row_of_several_files where row_key is not null)
        union all
        select
            file_name,
            {{ content }} as content
        from {{ lines }}
        where
            {{ key }} is null
            and (select count(*) from first_row_of_several_files where row_key is null) > 0

    ),

    suspected as (

        select first_row_of_several_files.file_name
        from first_row_of_several_files
        inner join (
            select content
            from near_first_row
            group by content
            having min(file_name) <> max(file_name)
        ) as shared
            on first_row_of_several_files.content = shared.content

    ),

    first_rows_of_several_files as (

        select
            file_name,
            {{ key }} as row_key,
            {{ content }} as content,
            row_number
        from {{ lines }}
        where
            row_number <= 101
            and file_name in (select file_name from suspected)

    ),

    near as (

        select
            file_name,
            {{ content }} as content
        from {{ lines }}
        where {{ key }} in (select row_key from first_rows_of_several_files where row_key is not null)
        union all
        select
            file_name,
            {{ content }} as content
        from {{ lines }}
        where
            {{ key }} is null
            and (select count(*) from first_rows_of_several_files where row_key is null) > 0

    ),

    pairs as (

        select
            found.file_name,
            found.other_name
        from (
            select distinct
                first_rows_of_several_files.file_name,
                first_rows_of_several_files.row_number,
                near.file_name as other_name
            from first_rows_of_several_files
            inner join near
                on
                    first_rows_of_several_files.content = near.content
                    and first_rows_of_several_files.file_name <> near.file_name
        ) as found
        inner join (
            select
                file_name,
                count(*) as row_count
            from first_rows_of_several_files
            group by file_name
        ) as looked_for
            on found.file_name = looked_for.file_name
        group by found.file_name, found.other_name, looked_for.row_count
        having count(*) = looked_for.row_count

    ),

    file_rows as (

        select
            file_name,
            count(*) as row_count
        from {{ lines }}
        where file_name in (select file_name from pairs union all select other_name from pairs)
        group by file_name

    ),

    contents as (

        select
            rows_of_files.file_name,
            rows_of_files.content,
            count(*) as row_count
        from (
            select
                file_name,
                {{ content }} as content
            from {{ lines }}
            where file_name in (select file_name from pairs union all select other_name from pairs)
        ) as rows_of_files
        group by rows_of_files.file_name, rows_of_files.content

    ),

    whole as (

        select
            pairs.file_name,
            pairs.other_name,
            other_rows.row_count as other_row_count
        from pairs
        inner join file_rows as own_rows
            on pairs.file_name = own_rows.file_name
        inner join file_rows as other_rows
            on pairs.other_name = other_rows.file_name
        inner join contents as own
            on pairs.file_name = own.file_name
        inner join contents as other
            on
                pairs.other_name = other.file_name
                and own.content = other.content
        group by pairs.file_name, pairs.other_name, own_rows.row_count, other_rows.row_count
        having
            sum(least(own.row_count, other.row_count)) = own_rows.row_count
            {# Of two with the same rows the first in file order stays. #}
            and (own_rows.row_count < other_rows.row_count or pairs.file_name > pairs.other_name)

    )

    select
        ranked.file_name,
        ranked.other_name
    from (
        select
            file_name,
            other_name,
            row_number() over (
                partition by file_name
                order by other_row_count desc, other_name asc
            ) as place
        from whole
    ) as ranked
    where ranked.place = 1
{% endmacro %}
