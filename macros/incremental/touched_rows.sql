{% macro touched_rows(relation, with_unkeyed=false) %}
    select * from {{ relation }}
    {% if reads_pending_files_only() %}
    {% set lineage = lineage_of(model.unique_id) %}
    {% if lineage.raw_table %}
    where {{ is_pending_file(lineage.key) }}
    {% else %}
    where {{ lineage.key }} in ({{ keys_in_files(lineage, pending_files(lineage)) }})
    {% endif %}
    {% if with_unkeyed %}
    union all
    select * from {{ relation }}
    where
        {{ lineage.key }} is null
        and file_name in (select file_name from ({{ pending_files(lineage) }}) as pending)
    {% endif %}
    {% endif %}
{% endmacro %}
