-- Every product that a user has bought before has a probability, and no other product has one, once models were trained.
with predicted as (

    select
        user_id,
        product_id
    from {{ ref('predicted_reorders') }}

),

known as (

    select
        user_id,
        product_id
    from {{ ref('ftr_user_products') }}
    where orders_back = 0

)

select
    known.user_id,
    known.product_id,
    cast('not predicted' as varchar(20)) as difference
from known
left join predicted
    on
        known.user_id = predicted.user_id
        and known.product_id = predicted.product_id
where
    predicted.user_id is null
    and exists (select 1 from {{ ref('model_runs') }})
union all
select
    predicted.user_id,
    predicted.product_id,
    cast('never bought' as varchar(20)) as difference
from predicted
left join known
    on
        predicted.user_id = known.user_id
        and predicted.product_id = known.product_id
where known.user_id is null
