-- Only for the lineage: the predictions were made from this model.
-- depends_on: {{ ref('ftr_reorder_candidates') }}
with predicted_baskets as (

    select * from {{ source('predictions', 'predicted_baskets') }}

)

select
    cast(user_id as integer) as user_id,
    cast(order_id as integer) as order_id,
    cast(product_count as integer) as product_count,
    cast(includes_none as boolean) as includes_none,
    cast(none_probability as numeric(7, 6)) as none_probability,
    cast(expected_f1 as numeric(7, 6)) as expected_f1,
    cast(model_version as varchar(100)) as model_version,
    cast(predicted_at as timestamp) as predicted_at
from predicted_baskets
