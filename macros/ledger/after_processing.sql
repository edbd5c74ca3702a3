{% macro after_processing() %}
    {% if execute and model.config.meta.ledger is defined and flags.WHICH != 'clone' and not is_of_part_of_the_rows() %}
        insert into {{ processed_files() }} (
            model_name, source_name, table_name, file_name, fingerprint, encoding, processed_at
        )
        select
            '{{ model.name }}', source_name, table_name, file_name, fingerprint, encoding,
            cast({{ dbt.current_timestamp() }} as timestamp)
        from ({{ pending_files(model) }}) as pending
    {% endif %}
{% endmacro %}
