{% macro files_by_stem(table, names) %}
    {% set stems = {} %}
    {% for name in names %}
        {% set stem = modules.re.sub('[.]csv([.]gz)?$', '', name, flags=modules.re.IGNORECASE) %}
        {% if table.meta.any_file_name %}
            {% if '/' not in name %}
                {% do stems.setdefault(stem, []).append(name) %}
            {% endif %}
        {% elif stem.split('/')[0].lower() == table.name %}
            {% do stems.setdefault(stem if '/' in stem else table.name, []).append(name) %}
        {% endif %}
    {% endfor %}
    {{ return(stems) }}
{% endmacro %}
