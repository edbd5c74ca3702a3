{% macro encoding_problems(file_name, detected, declared, variable) %}
    {% if declared not in ['', 'utf-8', 'latin-1'] %}
        {{ return([variable ~ ' is "' ~ declared ~ '"; it must be utf-8 or latin-1, or unset']) }}
    {% elif declared == 'utf-8' and detected == 'latin-1' %}
        {{ return(['file ' ~ file_name ~ ' is not valid UTF-8, which ' ~ variable ~ ' declares; unset it']) }}
    {% elif declared == 'latin-1' and detected == 'utf-8' %}
        {{ return([
            'file ' ~ file_name ~ ' is valid UTF-8 with letters beyond ASCII, but ' ~ variable
            ~ ' declares latin-1, which would read two letters for one; unset it'
        ]) }}
    {% endif %}
    {{ return([]) }}
{% endmacro %}
