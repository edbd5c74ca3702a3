-- Only for the lineage: the predictions were made from this model.
-- depends_on: {{ ref('ftr_reorder_candidates') }}
with predicted_reorders as (

    select * from {{ source('predictions', 'predicted_reorders') }}

)

select
    cast(user_id as integer) as user_id,
    cast(product_id as integer) as product_id,
    cast(order_id as integer) as order_id,
    cast(probability as numeric(7, 6)) as probability,
    cast(rank as integer) as rank,
    cast(is_in_basket as boolean) as is_in_basket,
    cast(model_version as varchar(100)) as model_version,
    cast(predicted_at as timestamp) as predicted_at
from predicted_reorders
