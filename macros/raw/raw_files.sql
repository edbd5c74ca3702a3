{% macro raw_files(folder, extension='[.]csv([.]gz)?', is_final=false) %}
    {# The names first: read_blob, which tells size and time without reading, fails where nothing matches.
       https://duckdb.org/docs/stable/guides/file_formats/read_file #}
    {% set prefix = folder.rstrip('/') ~ '/' %}
    {% set query %}
        select
            replace(substring(file, {{ prefix | length + 1 }}), '\', '/') as file_name,
            file as path
        from (
            select file from glob({{ path_literal(prefix, suffix='*') }})
            union all
            select file from glob({{ path_literal(prefix, suffix='*/**') }})
        )
        where regexp_matches(lower(file), '{{ extension }}$')
        order by file_name
    {% endset %}
    {% set files = {} %}
    {% set paths = [] %}
    {% for row in run_query(query) %}
        {% do files.update({row['path']: row['file_name']}) %}
        {% do paths.append(path_literal(row['path'])) %}
    {% endfor %}
    {% set fingerprints = {} %}
    {% if paths %}
        {% set query %}
            select
                filename,
                size || ' bytes'
                {% if not is_final %}
                || ', ' || strftime(last_modified, '%Y-%m-%d %H:%M:%S')
                {# Known to the second: a file of this very second may change once more without a sign, and is read again. #}
                || case when last_modified >= date_trunc('second', now()) then ', still changing' else '' end
                {% endif %}
                || ', in {{ folder | replace("'", "''") }}' as fingerprint
            from read_blob([{{ paths | join(', ') }}])
        {% endset %}
        {% for row in run_query(query) %}
            {% do fingerprints.update({files[row['filename']]: row['fingerprint']}) %}
        {% endfor %}
    {% endif %}
    {{ return(fingerprints) }}
{% endmacro %}
