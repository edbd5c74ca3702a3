{% macro has_model_runs() %}
    {% set node = graph.nodes['model.retail_warehouse.model_runs'] %}
    {% set model_runs = load_cached_relation(
        api.Relation.create(database=node.database, schema=node.schema, identifier=node.alias)
    ) %}
    {{ return(model_runs is not none and run_query('select count(*) from ' ~ model_runs).columns[0].values()[0] > 0) }}
{% endmacro %}
