{% macro pending_files(lineage) %}
    {% set query %}
        select above.source_name, above.table_name, above.file_name, above.fingerprint, above.encoding
        from ({{ files_above(lineage) }}) as above
        left join {{ processed_files() }} as processed
            on processed.model_name = '{{ lineage.node.name }}'
            and above.source_name = processed.source_name
            and above.table_name = processed.table_name
            and above.file_name = processed.file_name
            and above.fingerprint = processed.fingerprint
        where processed.file_name is null
    {% endset %}
    {{ return(query) }}
{% endmacro %}
