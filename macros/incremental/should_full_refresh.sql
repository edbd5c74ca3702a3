{% macro should_full_refresh() %}
    {% if dbt.should_full_refresh() or is_of_part_of_the_rows() or var('assume_incremental') == false %}
        {{ return(true) }}
    {% elif model.config.meta.processed_by is not defined %}
        {{ return(false) }}
    {% endif %}
    {# Asked once: by then the models above have run. The SQL, the hooks and the materialization follow one answer. #}
    {% set answers = kept_for_the_run('must_rebuild') %}
    {% if model.unique_id not in answers %}
        {% do answers.update({model.unique_id: must_rebuild(lineage_of(model.unique_id))}) %}
    {% endif %}
    {{ return(answers[model.unique_id]) }}
{% endmacro %}
