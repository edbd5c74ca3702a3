{% macro should_full_refresh() %}
    {{ return(
        dbt.should_full_refresh()
        or is_of_part_of_the_rows()
        or var('assume_incremental') == false
        or (model.config.meta.ledger is defined and must_rebuild(model))
    ) }}
{% endmacro %}
