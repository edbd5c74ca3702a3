{% macro raw_files(folder) %}
    {% set query %}
        select parse_filename(file) as file_name
        from glob({{ path_literal(folder ~ '/', suffix='*') }})
        where regexp_matches(lower(file), '[.]csv([.]gz)?$')
        order by file_name
    {% endset %}
    {{ return(run_query(query).columns[0].values() | list) }}
{% endmacro %}
