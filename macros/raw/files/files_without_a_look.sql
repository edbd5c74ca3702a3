{% macro files_without_a_look(table, names, fingerprints) %}
    {% set files = [] %}
    {% for alike in files_by_stem(table, names).values() %}
        {% do files.append({
            'table': table, 'name': alike[0],
            'fingerprint': fingerprints[alike[0]] ~ fingerprint_of_settings(table.source_meta),
        }) %}
    {% endfor %}
    {{ return(files) }}
{% endmacro %}
