{% macro files_above(lineage) %}
    {% if lineage.raw_table %}
        {% set table = lineage.raw_table %}
        {{ return(
            "select cast('" ~ table.source_name ~ "' as varchar(100)) as source_name, table_name, file_name, fingerprint, encoding from "
            ~ file_list_of(table.source_name).relation_name ~ " where table_name = '" ~ table.name ~ "'"
        ) }}
    {% endif %}
    {% set readers = {} %}
    {% for above in lineage.directly_above %}
        {% for id in above.staged %}
            {% do readers.update({id: readers.get(id, 0) + 1}) %}
        {% endfor %}
    {% endfor %}
    {# A file counts once each of the models that reads its table has processed it. #}
    {% set query %}
        select source_name, table_name, file_name, fingerprint, max(encoding) as encoding
        from {{ processed_files() }}
        where model_name in ('{{ lineage.directly_above | map(attribute='node.name') | join("', '") }}')
        group by source_name, table_name, file_name, fingerprint
        having count(*) = case
            {% for id, number in readers | dictsort %}
            {% set table = lineage.staged[id].raw_table %}
            when source_name = '{{ table.source_name }}' and table_name = '{{ table.name }}' then {{ number }}
            {% endfor %}
        end
    {% endset %}
    {{ return(query) }}
{% endmacro %}
