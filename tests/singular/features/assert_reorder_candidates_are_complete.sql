-- The view joins user, product and aisle to every row of ftr_user_products: no row is lost or doubled.
with counted as (

    select
        (select count(*) from {{ ref('ftr_user_products') }}) as expected,
        (select count(*) from {{ ref('ftr_reorder_candidates') }}) as actual

)

select * from counted
where actual <> expected
