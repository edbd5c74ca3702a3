{% macro check_settings() %}
    {% if execute %}
        {% set problems = [] %}
        {% set rules = settings() %}
        {% for name, rule in rules.vars.items() %}
            {% set value = var(name) %}
            {% set wanted = setting_wanted(value, rule) %}
            {% if wanted %}
                {% do problems.append('the var ' ~ name ~ ' must be ' ~ wanted ~ ' (now: ' ~ tojson(value, value) ~ ')') %}
            {% endif %}
        {% endfor %}
        {% for name in (invocation_args_dict.vars or {}) if name not in rules.vars %}
            {% do problems.append('there is no var ' ~ name ~ '; there are ' ~ rules.vars | sort | join(', ')) %}
        {% endfor %}
        {% for name, pattern in rules.environment.items() %}
            {% if env_var(name, '') and not modules.re.fullmatch(pattern[0], env_var(name)) %}
                {% do problems.append('the environment variable ' ~ name ~ ' must be ' ~ pattern[1] ~ ' (now: ' ~ env_var(name) ~ ')') %}
            {% endif %}
        {% endfor %}
        {% if problems %}
            {% do exceptions.raise_compiler_error('Settings are wrong, and nothing was changed:\n  - ' ~ problems | join('\n  - ')) %}
        {% endif %}
    {% endif %}
{% endmacro %}
