{% macro fingerprint_of_settings(source_meta) %}
    {% set settings = [] %}
    {% for name in source_meta.read_with or [] %}
        {% do settings.append(', ' ~ name ~ ' ' ~ var(name)) %}
    {% endfor %}
    {{ return(settings | join) }}
{% endmacro %}
