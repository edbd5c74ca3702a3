{{ instacart_order_products('train') }}
