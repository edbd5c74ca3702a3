{% macro process_doubted_files_again() %}
    {% if is_in_ledger() and not is_of_part_of_the_rows() %}
        {% set lineage = lineage_of(model.unique_id) %}
        {% set classified = [] %}
        {% for below in models_directly_below(model.unique_id) %}
            {% do classified.append(load_cached_relation(relation_of(below.node))) %}
        {% endfor %}
        {% set classified = classified | select | list %}
        {% if classified %}
            {# A further delivery has changed what becomes of a file that was processed before. #}
            {% set left_out = "select file_name from " ~ this ~ " where verdict in ('repeated', 'other_date_order')" %}
            {% set not_again = lineage.staged.values() | map(attribute='node.name') | list + [model.name] %}
            {% set statement %}
                delete from {{ processed_files() }}
                where
                    model_name not in ('{{ not_again | join("', '") }}')
                    and (
                        {% for staged in lineage.staged.values() if staged.key == 'file_name' %}
                        {{ 'or ' if not loop.first }}(
                            source_name = '{{ staged.raw_table.source_name }}'
                            and table_name = '{{ staged.raw_table.name }}'
                            and file_name in (
                                {% for relation in classified %}
                                select distinct classified.file_name
                                from {{ relation }} as classified
                                where classified.file_name in ({{ left_out }})
                                union all
                                {% endfor %}
                                select distinct staged.file_name
                                from {{ staged.node.relation_name }} as staged
                                where
                                    staged.rejection_reason is null
                                    and staged.file_name not in ({{ left_out }})
                                    {% for relation in classified %}
                                    and staged.file_name not in (select file_name from {{ relation }})
                                    {% endfor %}
                            )
                        )
                        {% endfor %}
                    )
            {% endset %}
            {{ return(statement) }}
        {% endif %}
    {% endif %}
{% endmacro %}
