-- What the models were trained on.
-- depends_on: {{ ref('ftr_reorder_candidates') }}
with model_runs as (

    select * from {{ source('predictions', 'model_runs') }}

)

select
    cast(model_version as varchar(100)) as model_version,
    cast(trained_at as timestamp) as trained_at,
    cast(code_version as varchar(100)) as code_version,
    cast(library as varchar(100)) as library,
    cast(seed as integer) as seed,
    cast(user_count as integer) as user_count,
    cast(target_count as integer) as target_count,
    cast(row_count as bigint) as row_count,
    cast(feature_count as integer) as feature_count,
    cast(reorder_auc as numeric(7, 6)) as reorder_auc,
    cast(reorder_pr_auc as numeric(7, 6)) as reorder_pr_auc,
    cast(reorder_calibration_error as numeric(7, 6)) as reorder_calibration_error,
    cast(reorder_f1 as numeric(7, 6)) as reorder_f1,
    cast(reorder_f1_lower as numeric(7, 6)) as reorder_f1_lower,
    cast(reorder_f1_upper as numeric(7, 6)) as reorder_f1_upper,
    cast(decay_f1 as numeric(7, 6)) as decay_f1,
    cast(repeat_last_f1 as numeric(7, 6)) as repeat_last_f1,
    cast(first_purchase_recall_at_10 as numeric(7, 6)) as first_purchase_recall_at_10,
    cast(popularity_recall_at_10 as numeric(7, 6)) as popularity_recall_at_10,
    cast(next_in_cart_mrr as numeric(7, 6)) as next_in_cart_mrr,
    cast(next_in_cart_hit_at_10 as numeric(7, 6)) as next_in_cart_hit_at_10,
    cast(decay_mrr as numeric(7, 6)) as decay_mrr,
    cast(decay_hit_at_10 as numeric(7, 6)) as decay_hit_at_10
from model_runs
