{% macro refuse_unreadable_sources(found) %}
    {% set messages = [] %}
    {% for source_name, source in found.items() if source.problems %}
        {% set source_meta = file_list_of(source_name).source_meta %}
        {% do messages.append(
            'The raw files of ' ~ source_name ~ ' in the folder "' ~ source.folder ~ '" cannot be read:\n'
            ~ '  - ' ~ source.problems | join('\n  - ') ~ '\n'
            ~ 'Nothing was changed. Correct the files, or set ' ~ source_meta.folder_variable
            ~ ' to a folder with the official files (unset, the bundled sample is used), which retail-warehouse fetch '
            ~ source_name | replace('_', '-') ~ ' --help tells how to get.'
        ) %}
    {% endfor %}
    {% if messages %}
        {% do exceptions.raise_compiler_error(messages | join('\n')) %}
    {% endif %}
{% endmacro %}
