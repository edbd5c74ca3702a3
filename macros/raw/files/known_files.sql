{% macro known_files(table) %}
    {% set files = {} %}
    {% set query %}
        select file_name, fingerprint, encoding
        from {{ processed_files() }}
        where model_name = '{{ staging_model_of(table) }}'
    {% endset %}
    {% for row in run_query(query) %}
        {% do files.update({row['file_name']: {'fingerprint': row['fingerprint'], 'encoding': row['encoding']}}) %}
    {% endfor %}
    {{ return(files) }}
{% endmacro %}
