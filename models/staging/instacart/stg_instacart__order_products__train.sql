{# All of its SQL is in macros/staging/instacart_order_products_query.sql, which is linted as this model. #}
{{ instacart_order_products_query('train') }}
