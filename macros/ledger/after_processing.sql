{% macro after_processing() %}
    {% if execute and model.config.meta.ledger is defined and flags.WHICH != 'clone' and not is_of_part_of_the_rows() %}
        {% set is_staged = not model.config.meta.ledger.after %}
        insert into {{ processed_files() }} (
            model_name, source_name, table_name, file_name, fingerprint, encoding, processed_at, content
        )
        select
            '{{ model.name }}', pending.source_name, pending.table_name, pending.file_name, pending.fingerprint, pending.encoding,
            cast({{ dbt.current_timestamp() }} as timestamp),
            {{ "case when pending.file_name not like '%.merged-%.ndjson' then coalesce(contents.content, '0 rows') end" if is_staged else 'cast(null as varchar(100))' }}
        from ({{ pending_files(model) }}) as pending
        {% if is_staged %}
        left join ({{ content_of_files(model, pending_files(model)) }}) as contents
            on pending.file_name = contents.file_name
        {% endif %}
    {% endif %}
{% endmacro %}
