{% set raw_tables = {
    'stg_instacart__aisles': 'int_aisles_rejected',
    'stg_instacart__departments': 'int_departments_rejected',
    'stg_instacart__products': 'int_products_rejected',
    'stg_instacart__orders': 'int_orders_rejected',
    'int_order_products_unioned': 'int_order_products_rejected',
} %}

{{ rejections_counted(raw_tables) }}
