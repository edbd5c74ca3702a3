{% macro touched_rows(relation, with_unkeyed=false) %}
    select * from {{ relation }}
    {% if is_incremental() %}
    {% set key = model.config.meta.ledger.key %}
    {% if not model.config.meta.ledger.after %}
    where {{ is_pending_file(key) }}
    {% else %}
    where {{ key }} in ({{ keys_in_files(model, pending_files(model)) }})
    {% endif %}
    {% if with_unkeyed %}
    union all
    select * from {{ relation }}
    where
        {{ key }} is null
        and file_name in (select file_name from ({{ pending_files(model) }}) as pending)
    {% endif %}
    {% endif %}
{% endmacro %}
