-- Only for the lineage: the predictions were made from this model.
-- depends_on: {{ ref('ftr_product_pairs') }}
with predicted_first_purchases as (

    select * from {{ source('predictions', 'predicted_first_purchases') }}

)

select
    cast(user_id as integer) as user_id,
    cast(rank as integer) as rank,
    cast(product_id as integer) as product_id,
    cast(score as double precision) as score,
    cast(model_version as varchar(100)) as model_version,
    cast(predicted_at as timestamp) as predicted_at
from predicted_first_purchases
