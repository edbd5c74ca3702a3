-- Ranks run 1..n, and no lower rank has the higher probability or score.
with ranked as (

    select
        cast('predicted_reorders' as varchar(30)) as table_name,
        user_id as key_id,
        rank as given_rank,
        cast(probability as double precision) as ranked_by
    from {{ ref('predicted_reorders') }}
    union all
    select
        cast('predicted_first_purchases' as varchar(30)) as table_name,
        user_id as key_id,
        rank as given_rank,
        score as ranked_by
    from {{ ref('predicted_first_purchases') }}
    union all
    select
        cast('next_in_cart' as varchar(30)) as table_name,
        product_id as key_id,
        rank as given_rank,
        cast(probability as double precision) as ranked_by
    from {{ ref('next_in_cart') }}

),

compared as (

    select
        *,
        row_number() over (partition by table_name, key_id order by given_rank asc) as true_rank,
        lag(ranked_by) over (partition by table_name, key_id order by given_rank asc) as ranked_before_by
    from ranked

)

select * from compared
where given_rank <> true_rank or ranked_by > ranked_before_by
