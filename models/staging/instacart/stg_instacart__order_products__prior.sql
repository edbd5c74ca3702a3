{{ instacart_order_products('prior') }}
