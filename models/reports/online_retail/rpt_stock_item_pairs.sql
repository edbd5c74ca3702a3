-- Services are left out of baskets; several lines of an item on one invoice are one purchase.
with baskets as (

    select distinct
        invoice_no,
        stock_code
    from {{ ref('fct_sales') }}
    where is_product

),

basket_total as (

    select count(distinct invoice_no) as basket_count from baskets

),

-- An item in too few baskets cannot be in a pair. Joining and grouping by numbers is three times as fast as by codes.
items as (

    select
        stock_code,
        cast(row_number() over (order by stock_code asc) as integer) as item_number,
        count(*) as basket_count
    from baskets
    group by stock_code
    having count(*) >= {{ var('stock_item_pair_baskets') }}

),

lines as (

    select
        baskets.invoice_no,
        items.item_number
    from baskets
    inner join items
        on baskets.stock_code = items.stock_code

),

pairs as (

    select
        lines.item_number as item_number_a,
        partners.item_number as item_number_b,
        count(*) as basket_count
    from lines
    inner join lines as partners
        on
            lines.invoice_no = partners.invoice_no
            and lines.item_number < partners.item_number
    group by lines.item_number, partners.item_number
    having count(*) >= {{ var('stock_item_pair_baskets') }}

)

select
    items_a.stock_code as stock_code_a,
    items_b.stock_code as stock_code_b,
    stock_items_a.description as description_a,
    stock_items_b.description as description_b,
    cast(items_a.basket_count as integer) as baskets_a,
    cast(items_b.basket_count as integer) as baskets_b,
    cast(pairs.basket_count as integer) as baskets_with_both,
    {{ ratio('pairs.basket_count', 'basket_total.basket_count') }} as support,  -- noqa: RF04
    {{ ratio('pairs.basket_count', 'items_a.basket_count') }} as confidence_a_to_b,
    {{ ratio('pairs.basket_count', 'items_b.basket_count') }} as confidence_b_to_a,
    {{ ratio(
        'pairs.basket_count * basket_total.basket_count', 'items_a.basket_count * items_b.basket_count',
        18, 6, is_large=true
    ) }} as lift
from pairs
inner join items as items_a
    on pairs.item_number_a = items_a.item_number
inner join items as items_b
    on pairs.item_number_b = items_b.item_number
inner join {{ ref('stock_items') }} as stock_items_a
    on items_a.stock_code = stock_items_a.stock_code
inner join {{ ref('stock_items') }} as stock_items_b
    on items_b.stock_code = stock_items_b.stock_code
cross join basket_total
