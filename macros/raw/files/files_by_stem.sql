{% macro files_by_stem(table, names) %}
    {% set stems = {} %}
    {% for name in names %}
        {% set stem = modules.re.sub('[.]csv([.]gz)?$', '', name, flags=modules.re.IGNORECASE) %}
        {% if table.meta.any_file_name %}
            {% if '/' not in name %}
                {% do stems.setdefault(stem, []).append(name) %}
            {% endif %}
        {% elif '/' not in stem and stem.lower() == table.name %}
            {% do stems.setdefault(table.name, []).append(name) %}
        {# Spark writes a folder `orders.csv`. #}
        {% elif '/' in stem and stem.split('/')[0].lower() in [table.name, table.name ~ '.csv'] %}
            {% do stems.setdefault(stem, []).append(name) %}
        {% endif %}
    {% endfor %}
    {{ return(stems) }}
{% endmacro %}
