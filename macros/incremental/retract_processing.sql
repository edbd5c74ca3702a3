{% macro retract_processing() %}
    {% set lineage = lineage_of(model.unique_id) if is_in_ledger() else none %}
    {% if lineage and not lineage.raw_table %}
        {% set staged = lineage.staged.values() | map(attribute='node.name') | sort | join("', '") %}
        {% set file = 'source_name, table_name, file_name, fingerprint' %}
        {% set of_model = "select " ~ file ~ " from " ~ processed_files() ~ " where model_name = '" ~ model.name ~ "'" %}
        {% set of_staging = "select " ~ file ~ " from " ~ processed_files() ~ " where model_name in ('" ~ staged ~ "')" %}
        delete from {{ processed_files() }}
        where
            model_name = '{{ model.name }}'
            and (
                exists ({{ of_model }} except {{ of_staging }})
                or exists ({{ of_staging }} except {{ of_model }})
            )
    {% endif %}
{% endmacro %}
