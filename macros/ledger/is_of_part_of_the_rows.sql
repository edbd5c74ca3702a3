{% macro is_of_part_of_the_rows() %}
    {{ return(flags.EMPTY or (flags.SAMPLE or none) is not none) }}
{% endmacro %}
