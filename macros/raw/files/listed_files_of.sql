{% macro listed_files_of(source_name) %}
    {% set tables = [] %}
    {% for table in graph.sources.values() | sort(attribute='unique_id')
        if table.source_name == source_name and table.meta.header is defined %}
        {% do tables.append(table) %}
    {% endfor %}
    {% set any_file_name = tables | selectattr('meta.any_file_name', 'defined') | list | length > 0 %}
    {% set folder = data_folder(tables[0].source_meta) %}
    {% set listing = raw_files(
        folder,
        tables=none if any_file_name else tables | map(attribute='name') | list,
        depth=0 if any_file_name else 100
    ) %}
    {% for note in listing.notes %}
        {% do log('In the folder "' ~ folder ~ '" ' ~ note ~ '.', info=true) %}
    {% endfor %}
    {% if not listing.files and not listing.problems %}
        {% do listing.problems.append('the folder is missing or has no CSV file (*.csv, *.csv.gz)') %}
    {% endif %}
    {# Thousands of files are looked through once, not once for each table. #}
    {% set names_by_table = {} %}
    {% for name in listing.files if not any_file_name %}
        {% do names_by_table.setdefault(name.split('/')[0].split('.')[0].lower(), []).append(name) %}
    {% endfor %}
    {% set by_table = [] %}
    {% for table in tables if listing.files %}
        {% do by_table.append({
            'table': table,
            'names': listing.files | list if any_file_name else names_by_table.get(table.name, []),
        }) %}
    {% endfor %}
    {{ return({
        'folder': folder, 'fingerprints': listing.files, 'problems': listing.problems, 'by_table': by_table,
    }) }}
{% endmacro %}
