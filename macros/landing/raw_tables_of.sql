{% macro raw_tables_of(source_name) %}
    {% set tables = graph.sources.values() | selectattr('source_name', 'equalto', source_name)
        | selectattr('source_meta.folder_variable', 'defined') | sort(attribute='name') | list %}
    {% if not tables %}
        {% set names = graph.sources.values() | selectattr('source_meta.folder_variable', 'defined')
            | map(attribute='source_name') | unique | sort %}
        {% do exceptions.raise_compiler_error(
            'There is no source ' ~ source_name ~ ' of raw files; there are ' ~ names | join(' and ') ~ '.'
        ) %}
    {% endif %}
    {{ return(tables) }}
{% endmacro %}
