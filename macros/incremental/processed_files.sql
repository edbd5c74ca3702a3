{% macro processed_files() %}
    {% set table = graph.sources['source.retail_warehouse.ledger.processed_files'] %}
    {{ return(api.Relation.create(database=table.database, schema=table.schema, identifier=table.identifier)) }}
{% endmacro %}
