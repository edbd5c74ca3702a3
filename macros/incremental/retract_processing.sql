{% macro retract_processing() %}
    {% if execute and flags.WHICH != 'clone' and model.config.meta.ledger is defined and model.config.meta.ledger.after %}
        {% set staged = staged_models(model) | map(attribute='name') | join("', '") %}
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
