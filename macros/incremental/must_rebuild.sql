{% macro must_rebuild(lineage) %}
    {% set ledger = processed_files() %}
    {% if load_cached_relation(ledger) is none %}
        {{ return(true) }}
    {% endif %}
    {% set without_key = [] %}
    {% for id, staged in lineage.staged | dictsort if lineage.key not in staged.node.columns %}
        {% do without_key.append(staged.raw_table.name) %}
    {% endfor %}
    {% set query %}
        with processed as (

            select source_name, table_name, file_name, fingerprint
            from {{ ledger }}
            where model_name = '{{ lineage.node.name }}'

        ),

        above as (

            {{ files_above(lineage) }}

        ),

        vanished as (

            select source_name, table_name, file_name, fingerprint from processed
            except
            select source_name, table_name, file_name, fingerprint from above

        ),

        added as (

            select source_name, table_name, file_name, fingerprint from above
            except
            select source_name, table_name, file_name, fingerprint from processed

        )

        select
            (select count(*) from processed) = 0
            or (select count(*) from vanished) > 0
            or (select count(*) from added where table_name in ('{{ without_key | join("', '") }}')) > 0
            -- Merged on behalf of another warehouse: which of its rows this one has is not known.
            or (select count(*) from added where {{ is_name_of_merged_file('file_name') }}) > 0
    {% endset %}
    {{ return(run_query(query).columns[0].values()[0]) }}
{% endmacro %}
