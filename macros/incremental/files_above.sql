{% macro files_above(node) %}
    {% if not node.config.meta.ledger.after %}
        {% set table = raw_table_of(node) %}
        {% set files = graph.sources['source.retail_warehouse.' ~ table.source_name ~ '.data_files'] %}
        {{ return(
            "select cast('" ~ table.source_name ~ "' as varchar(100)) as source_name, table_name, file_name, fingerprint, encoding from "
            ~ files.relation_name ~ " where table_name = '" ~ table.name ~ "'"
        ) }}
    {% endif %}
    {% set readers = {} %}
    {% for name in node.config.meta.ledger.after %}
        {% for staged in staged_models(graph.nodes['model.retail_warehouse.' ~ name]) %}
            {% do readers.update({staged.name: readers.get(staged.name, 0) + 1}) %}
        {% endfor %}
    {% endfor %}
    {# A file counts once each of the models that reads its table has processed it. #}
    {% set query %}
        select source_name, table_name, file_name, fingerprint, max(encoding) as encoding
        from {{ processed_files() }}
        where model_name in ('{{ node.config.meta.ledger.after | join("', '") }}')
        group by source_name, table_name, file_name, fingerprint
        having count(*) = case
            {% for name, number in readers.items() %}
            when 'stg_' || source_name || '__' || table_name = '{{ name }}' then {{ number }}
            {% endfor %}
        end
    {% endset %}
    {{ return(query) }}
{% endmacro %}
