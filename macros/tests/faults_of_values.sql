{% macro faults_of_values(not_null, accepted_values, ranges) %}
    {% set faults = {} %}
    {% for column in not_null %}
        {% do faults.update({column ~ ' is null': column ~ ' is null'}) %}
    {% endfor %}
    {% for column, values in accepted_values.items() %}
        {% do faults.update({
            column ~ ' is not an accepted value': column ~ " not in ('" ~ values | join("', '") ~ "')"
        }) %}
    {% endfor %}
    {% for column, range in ranges.items() %}
        {% if range.min_value is defined %}
            {% do faults.update({column ~ ' is below ' ~ range.min_value: column ~ ' < ' ~ range.min_value}) %}
        {% endif %}
        {% if range.max_value is defined %}
            {% do faults.update({column ~ ' is above ' ~ range.max_value: column ~ ' > ' ~ range.max_value}) %}
        {% endif %}
    {% endfor %}
    {{ return(faults) }}
{% endmacro %}
