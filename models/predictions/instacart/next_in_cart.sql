-- Only for the lineage: the predictions were made from this model.
-- depends_on: {{ ref('ftr_cart_steps') }}
with next_in_cart as (

    select * from {{ source('predictions', 'next_in_cart') }}

)

select
    cast(product_id as integer) as product_id,
    cast(rank as integer) as rank,
    cast(next_product_id as integer) as next_product_id,
    cast(probability as numeric(7, 6)) as probability,
    cast(lift as numeric(18, 6)) as lift,
    cast(model_version as varchar(100)) as model_version,
    cast(predicted_at as timestamp) as predicted_at
from next_in_cart
