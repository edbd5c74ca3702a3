{% macro setting_wanted(value, rule) %}
    {% if value is none and rule.optional %}
        {{ return(none) }}
    {% elif rule.type == 'boolean' %}
        {{ return(none if value is boolean else 'true or false, without quotes') }}
    {% elif rule.type == 'text' %}
        {{ return(none if value is string else 'a text') }}
    {% endif %}
    {% set is_number = value is number and value is not boolean and (rule.type == 'number' or value is integer) %}
    {% if is_number and (rule.min is not defined or value >= rule.min) and (rule.max is not defined or value <= rule.max) %}
        {{ return(none) }}
    {% endif %}
    {{ return(
        ('a number' if rule.type == 'number' else 'a whole number')
        ~ (' from ' ~ rule.min ~ ' to ' ~ rule.max if rule.max is defined else ' of ' ~ rule.min ~ ' or more')
        ~ ', without quotes'
    ) }}
{% endmacro %}
