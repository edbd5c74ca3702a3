{% macro encoding_problems(file_name, detected, declared, variable) %}
    {% if declared not in ['', 'utf-8', 'latin-1', 'windows-1252'] %}
        {{ return([variable ~ ' is "' ~ declared ~ '"; it must be utf-8, latin-1 or windows-1252, or unset']) }}
    {% elif declared == 'utf-8' and detected in ['latin-1', 'cp1252', 'utf-16'] %}
        {{ return(['file ' ~ file_name ~ ' is not valid UTF-8, which ' ~ variable ~ ' declares; unset it']) }}
    {% elif declared == 'latin-1' and detected == 'utf-8' %}
        {{ return([
            'file ' ~ file_name ~ ' is valid UTF-8 with letters beyond ASCII, but ' ~ variable
            ~ ' declares latin-1, which would read two letters for one; unset it'
        ]) }}
    {% endif %}
    {{ return([]) }}
{% endmacro %}
