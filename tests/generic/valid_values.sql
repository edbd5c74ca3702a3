{% test valid_values(model, not_null={}, accepted_values={}, ranges={}) %}
{% set faults = faults_of_values(not_null, accepted_values, ranges) %}

select
    case
        {% for fault, condition in faults.items() %}
        when {{ condition }} then '{{ fault }}'
        {% endfor %}
    end as fault
from {{ model }}
where
    {{ faults.values() | join('\n    or ') }}

{% endtest %}
