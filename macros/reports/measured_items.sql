{# Orders and users are counted from distinct pairs of a group and an order, and products before their groups: counting distinct
   orders, users and products of all lines takes several times as long. #}
{% macro measured_items(order_products, orders, products, group_column) %}
    select
        items.{{ group_column }},
        items.product_count,
        items.item_count,
        items.reordered_items,
        reach.user_count,
        reach.order_count
    from (
        select
            products.{{ group_column }},
            count(*) as product_count,
            sum(lines.item_count) as item_count,
            sum(lines.reordered_items) as reordered_items
        from (
            select
                product_id,
                count(*) as item_count,
                sum(reordered) as reordered_items
            from {{ order_products }}
            group by product_id
        ) as lines
        inner join {{ products }} as products
            on lines.product_id = products.product_id
        group by products.{{ group_column }}
    ) as items
    inner join (
        select
            {{ group_column }},
            count(*) as user_count,
            sum(order_count) as order_count
        from (
            select
                reached.{{ group_column }},
                orders.user_id,
                count(*) as order_count
            from (
                select distinct
                    products.{{ group_column }},
                    order_products.order_id
                from {{ order_products }} as order_products
                inner join {{ products }} as products
                    on order_products.product_id = products.product_id
            ) as reached
            inner join {{ orders }} as orders
                on reached.order_id = orders.order_id
            group by reached.{{ group_column }}, orders.user_id
        ) as users
        group by {{ group_column }}
    ) as reach
        on items.{{ group_column }} = reach.{{ group_column }}
{% endmacro %}
