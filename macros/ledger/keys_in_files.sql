{% macro keys_in_files(node, files, with_merged=false) %}
    {% set key = node.config.meta.ledger.key %}
    {% if not node.config.meta.ledger.after %}
        {{ return('select file_name from (' ~ files ~ ') as files') }}
    {% endif %}
    {% set queries = [] %}
    {% for staged in staged_models(node) if key in staged.columns %}
        {% set table = raw_table_of(staged) %}
        {% set query = 'select ' ~ key ~ ' from ' ~ staged.relation_name ~ ' where ' ~ key ~ ' is not null and ' %}
        {% do queries.append(
            query ~ staged.config.meta.ledger.key ~ " in (select file_name from files where source_name = '" ~ table.source_name ~ "' and table_name = '"
            ~ table.name ~ "')"
        ) %}
        {% if with_merged and staged.config.meta.ledger.key != 'file_name' %}
        {% do queries.append(
            'select staged.' ~ key ~ ' from ' ~ staged.relation_name ~ ' as staged inner join files on '
            ~ is_in_merged_file('staged.' ~ staged.config.meta.ledger.key, 'files.file_name') ~ ' where staged.' ~ key ~ ' is not null'
        ) %}
        {% endif %}
        {% if staged.config.meta.ledger.key != 'file_name' %}
        {# A file that is named as a delivery was: its lines take the place of those that were streamed. #}
        {% do queries.append(
            query ~ delivery_name('file_name') ~ " in (select " ~ delivery_name('file_name') ~ " from files where table_name <> '" ~ table.name ~ "')"
        ) %}
        {% endif %}
    {% endfor %}
    {{ return('with files as (' ~ files ~ ') ' ~ queries | join(' union ')) }}
{% endmacro %}
