{# Transitions of the overall mix that are added to those of each aisle. #}
{% set pseudo_count = 20 %}
with aisles as (

    select * from {{ ref('aisles') }}

),

order_products as (

    select * from {{ ref('ftr_order_products') }}

),

orders as (

    select * from {{ ref('ftr_orders') }}
    where is_in_pair_sample

),

steps as (

    select
        order_products.aisle_id,
        lead(order_products.aisle_id) over (
            partition by order_products.order_id
            order by order_products.add_to_cart_order asc, order_products.product_id asc
        ) as next_aisle_id
    from order_products
    inner join orders
        on order_products.order_id = orders.order_id

),

transitions as (

    select
        aisle_id,
        next_aisle_id,
        count(*) as transition_count
    from steps
    where next_aisle_id is not null
    group by aisle_id, next_aisle_id

),

-- All pairs of aisles, including those that never occurred.
completed as (

    select
        aisles.aisle_id,
        next_aisles.aisle_id as next_aisle_id,
        coalesce(transitions.transition_count, 0) as transition_count
    from aisles
    cross join aisles as next_aisles
    left join transitions
        on
            aisles.aisle_id = transitions.aisle_id
            and next_aisles.aisle_id = transitions.next_aisle_id

),

totalled as (

    select
        aisle_id,
        next_aisle_id,
        transition_count,
        sum(transition_count) over (partition by aisle_id) as from_aisle,
        -- One is added to each count below, so that no aisle has a share of 0.
        sum(transition_count) over (partition by next_aisle_id) as to_next_aisle,
        sum(transition_count) over () as all_transitions,
        count(*) over (partition by aisle_id) as aisle_count
    from completed

)

select
    aisle_id,
    next_aisle_id,
    cast(transition_count as integer) as transition_count,
    cast(from_aisle as integer) as aisle_transition_count,
    {{ ratio(
        'transition_count * (all_transitions + aisle_count) + ' ~ pseudo_count ~ ' * (to_next_aisle + 1)',
        'cast(from_aisle + ' ~ pseudo_count ~ ' as bigint) * (to_next_aisle + 1)',
        18, 6, is_large=true
    ) }} as lift
from totalled
