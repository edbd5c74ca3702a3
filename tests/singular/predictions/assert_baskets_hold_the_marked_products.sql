-- A basket has as many products as are marked, of the same order and the same model; every user with products has one.
with marked as (

    select
        user_id,
        order_id,
        model_version,
        sum(case when is_in_basket then 1 else 0 end) as product_count
    from {{ ref('predicted_reorders') }}
    group by user_id, order_id, model_version

),

baskets as (

    select * from {{ ref('predicted_baskets') }}

)

select
    marked.user_id,
    marked.product_count as expected,
    baskets.product_count as actual
from marked
left join baskets
    on
        marked.user_id = baskets.user_id
        and marked.model_version = baskets.model_version
        and coalesce(marked.order_id, 0) = coalesce(baskets.order_id, 0)
where coalesce(baskets.product_count, -1) <> marked.product_count
