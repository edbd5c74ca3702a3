{% test equals_its_parquet_files(model) %}
    {% set files = parquet_export_rows(model) %}
    with only_in_model as (

        select * from {{ model }}
        except
        select * from {{ files }}

    ),

    only_in_files as (

        select * from {{ files }}
        except
        select * from {{ model }}

    ),

    differences as (

        select 'rows in the model only' as difference, count(*) as row_count from only_in_model
        union all
        select 'rows in the files only' as difference, count(*) as row_count from only_in_files
        union all
        select
            'number of rows' as difference,
            (select count(*) from {{ model }}) - (select count(*) from {{ files }}) as row_count

    )

    select * from differences
    where row_count <> 0
{% endtest %}
