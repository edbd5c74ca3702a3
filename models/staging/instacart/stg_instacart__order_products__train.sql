{{ instacart_order_products_query('train') }}
