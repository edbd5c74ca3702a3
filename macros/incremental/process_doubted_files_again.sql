{% macro process_doubted_files_again(classified_name) %}
    {% if execute and flags.WHICH != 'clone' and not is_of_part_of_the_rows() %}
        {% set classified_node = graph.nodes['model.retail_warehouse.' ~ classified_name] %}
        {% set classified = load_cached_relation(relation_of(classified_node)) %}
        {% set table = raw_table_of(staged_models(model)[0]) %}
        {% if classified %}
            {# A further delivery has changed what becomes of a file that was processed before. #}
            {% set left_out = "select file_name from " ~ this ~ " where verdict in ('repeated', 'other_date_order')" %}
            {% set statement %}
                delete from {{ processed_files() }}
                where
                    source_name = '{{ table.source_name }}'
                    and table_name = '{{ table.name }}'
                    and model_name not in ('{{ staged_models(model) | map(attribute='name') | join("', '") }}', '{{ model.name }}')
                    and file_name in (
                        select distinct classified.file_name
                        from {{ classified }} as classified
                        where classified.file_name in ({{ left_out }})
                        union all
                        select distinct staged.file_name
                        from {{ staged_models(model)[0].relation_name }} as staged
                        where
                            staged.rejection_reason is null
                            and staged.file_name not in ({{ left_out }})
                            and staged.file_name not in (select file_name from {{ classified }})
                    )
            {% endset %}
            {{ return(statement) }}
        {% endif %}
    {% endif %}
{% endmacro %}
