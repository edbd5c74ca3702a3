{% macro keys_in_files(lineage, files, with_merged=false) %}
    {% set key = lineage.key %}
    {% if lineage.raw_table %}
        {{ return('select file_name from (' ~ files ~ ') as files') }}
    {% endif %}
    {% set queries = [] %}
    {% for id, staged in lineage.staged | dictsort if key in staged.node.columns %}
        {% set table = staged.raw_table %}
        {% set query = 'select ' ~ key ~ ' from ' ~ staged.node.relation_name ~ ' where ' ~ key ~ ' is not null and ' %}
        {% do queries.append(
            query ~ staged.key ~ " in (select file_name from files where source_name = '" ~ table.source_name ~ "' and table_name = '"
            ~ table.name ~ "')"
        ) %}
        {% if with_merged and staged.key != 'file_name' %}
        {% do queries.append(
            'select staged.' ~ key ~ ' from ' ~ staged.node.relation_name ~ ' as staged inner join files on '
            ~ is_in_merged_file('staged.' ~ staged.key, 'files.file_name') ~ ' where staged.' ~ key ~ ' is not null'
        ) %}
        {% endif %}
        {% if staged.key != 'file_name' %}
        {# A file that is named as a delivery was: its lines take the place of those that were streamed. #}
        {% do queries.append(
            query ~ delivery_name('file_name') ~ " in (select " ~ delivery_name('file_name') ~ " from files where table_name <> '" ~ table.name ~ "')"
        ) %}
        {% endif %}
    {% endfor %}
    {{ return('with files as (' ~ files ~ ') ' ~ queries | join(' union ')) }}
{% endmacro %}
