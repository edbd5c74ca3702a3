{% macro is_of_part_of_the_rows() %}
    {{ return(flags.EMPTY or (invocation_args_dict.sample or none) is not none) }}
{% endmacro %}
