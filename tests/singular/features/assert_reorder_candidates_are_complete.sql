-- The view joins user, product and aisle to every row of ftr_user_products: none is lost by it, none is doubled.
with counted as (

    select
        (select count(*) from {{ ref('ftr_user_products') }}) as expected,
        (select count(*) from {{ ref('ftr_reorder_candidates') }}) as actual

)

select * from counted
where actual <> expected
