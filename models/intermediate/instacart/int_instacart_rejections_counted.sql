{# All of its SQL is in macros/intermediate/rejections_counted_query.sql, which is linted as this model. #}
{% set raw_tables = {
    'aisles': 'stg_instacart__aisles',
    'departments': 'stg_instacart__departments',
    'products': 'stg_instacart__products',
    'orders': 'stg_instacart__orders',
    'order_products__prior': 'stg_instacart__order_products__prior',
    'order_products__train': 'stg_instacart__order_products__train',
} %}
{% set rejected = [
    'int_aisles_rejected',
    'int_departments_rejected',
    'int_products_rejected',
    'int_orders_rejected',
    'int_order_products_rejected',
] %}

{{ rejections_counted_query(raw_tables, rejected) }}
