-- A product that the user has bought before cannot be tried for the first time.
select
    predicted_first_purchases.user_id,
    predicted_first_purchases.product_id
from {{ ref('predicted_first_purchases') }} as predicted_first_purchases
inner join {{ ref('ftr_user_products') }} as user_products
    on
        predicted_first_purchases.user_id = user_products.user_id
        and predicted_first_purchases.product_id = user_products.product_id
where user_products.orders_back = 0
