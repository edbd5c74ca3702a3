{# Groups of groups are cheaper than counting distinct orders, users and products of all items. #}
{% macro measured_items(order_items, group_column) %}
    select
        items.{{ group_column }},
        items.product_count,
        items.item_count,
        items.reordered_items,
        reach.user_count,
        reach.order_count
    from (
        select
            {{ group_column }},
            count(*) as product_count,
            sum(item_count) as item_count,
            sum(reordered_items) as reordered_items
        from (
            select
                {{ group_column }},
                product_id,
                count(*) as item_count,
                sum(reordered) as reordered_items
            from {{ order_items }}
            group by {{ group_column }}, product_id
        ) as products
        group by {{ group_column }}
    ) as items
    inner join (
        select
            {{ group_column }},
            count(*) as user_count,
            sum(order_count) as order_count
        from (
            select
                {{ group_column }},
                user_id,
                count(*) as order_count
            from (
                select distinct
                    {{ group_column }},
                    user_id,
                    order_id
                from {{ order_items }}
            ) as orders
            group by {{ group_column }}, user_id
        ) as users
        group by {{ group_column }}
    ) as reach
        on items.{{ group_column }} = reach.{{ group_column }}
{% endmacro %}
