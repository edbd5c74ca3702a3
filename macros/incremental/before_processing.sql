{% macro before_processing() %}
    {% if is_in_ledger() %}
        {% set lineage = lineage_of(model.unique_id) %}
        {% if not reads_pending_files_only() %}
            {{ return(
                forget_pending_files()
                ~ "delete from " ~ processed_files() ~ " where model_name = '" ~ model.name ~ "'"
            ) }}
        {% elif lineage.raw_table %}
            {{ return(adapter.dispatch('before_processing', 'retail_warehouse')(lineage)) }}
        {% else %}
            {{ return(
                'delete from ' ~ this ~ ' where ' ~ lineage.key ~ ' in (' ~ keys_in_files(lineage, pending_files(lineage)) ~ ')'
            ) }}
        {% endif %}
    {% endif %}
{% endmacro %}

{# A hook opens the transaction, so that the rows and the list of files are of one snapshot. #}
{% macro default__before_processing(lineage) %}
    {{ return('select count(*) from ' ~ processed_files()) }}
{% endmacro %}

{# The session variable `pending_files`: set here, read by the SQL that `is_pending_file` and
   `landed_events` write. #}
{% macro duckdb__before_processing(lineage) %}
    {{ return(
        'set variable pending_files = (select coalesce(list(file_name), []) from (' ~ pending_files(lineage) ~ ') as pending)'
    ) }}
{% endmacro %}
