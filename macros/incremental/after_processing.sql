{% macro after_processing() %}
    {% if is_in_ledger() and not is_of_part_of_the_rows() %}
        {% set lineage = lineage_of(model.unique_id) %}
        insert into {{ processed_files() }} (
            model_name, source_name, table_name, file_name, fingerprint, encoding, processed_at, content
        )
        select
            '{{ model.name }}', pending.source_name, pending.table_name, pending.file_name, pending.fingerprint, pending.encoding,
            cast({{ dbt.current_timestamp() }} as timestamp),
            {% if lineage.raw_table %}
            case when not ({{ is_name_of_merged_file('pending.file_name') }}) then coalesce(contents.content, '0 rows') end
            {% else %}
            cast(null as varchar(100))
            {% endif %}
        from ({{ pending_files(lineage) }}) as pending
        {% if lineage.raw_table %}
        left join ({{ content_of_files(lineage, pending_files(lineage)) }}) as contents
            on pending.file_name = contents.file_name
        {% endif %}
    {% endif %}
{% endmacro %}
