"""Made-up prediction files as `retail-warehouse predict` writes them, for tests of what dbt makes of them."""

from pathlib import Path

import duckdb

_RUN = "'test' as model_version, timestamp '2017-06-01 12:00:00' as predicted_at"
# Lines that no rule rejects are taken from the official files and from parts in folders of their names.
_HISTORY = """
create table orders as
select distinct
    order_id::integer as order_id, user_id::integer as user_id, eval_set, order_number::integer as order_number
from read_csv({orders}, all_varchar = true);
create table known as
select distinct user_id, product_id::integer as product_id
from read_csv({lines}, all_varchar = true) as lines
inner join orders on lines.order_id = orders.order_id::varchar
where try_cast(product_id as integer) = try_cast(product_id as double) and try_cast(add_to_cart_order as integer) > 0;
create table products as
select distinct product_id::integer as product_id from read_csv({products}, all_varchar = true);
create table open_orders as
select user_id, arg_max(case when eval_set = 'test' then order_id end, order_number) as order_id
from orders group by user_id;
"""
_TABLES = {
    "predicted_reorders": f"""
        select user_id, product_id, order_id, probability, rank, rank <= 3 as is_in_basket, {_RUN}
        from (
            select *, cast(1.0 / (1 + rank) as decimal(7, 6)) as probability
            from (select *, row_number() over (partition by user_id order by product_id)::integer as rank from known)
        ) inner join open_orders using (user_id)""",
    "predicted_baskets": f"""
        select
            user_id, order_id, least(3, count(*))::integer as product_count, user_id % 2 = 0 as includes_none,
            0.25::decimal(7, 6) as none_probability, 0.5::decimal(7, 6) as expected_f1, {_RUN}
        from known inner join open_orders using (user_id) group by user_id, order_id""",
    "predicted_first_purchases": f"""
        select user_id, rank, product_id, 1.0::double / rank as score, {_RUN}
        from (
            select *, row_number() over (partition by user_id order by product_id)::integer as rank
            from (select distinct user_id from known) cross join (from products order by product_id limit 100)
            anti join known using (user_id, product_id)
        ) where rank <= 20""",
    "next_in_cart": f"""
        select
            product_id, rank, next_product_id, cast(0.5 / rank as decimal(7, 6)) as probability,
            case when rank < 3 then 1.5::decimal(18, 6) end as lift, {_RUN}
        from (
            select
                a.product_id, b.product_id as next_product_id,
                row_number() over (partition by a.product_id order by b.product_id)::integer as rank
            from (from products order by product_id limit 20) as a
            cross join (from products order by product_id limit 20) as b
            where a.product_id <> b.product_id
        ) where rank <= 3""",
    "model_runs": """
        select
            'test' as model_version, timestamp '2017-06-01 11:00:00' as trained_at, '0.1.0' as code_version,
            'none' as library, 1 as seed, 2 as user_count, 3 as target_count, 4::bigint as row_count,
            5 as feature_count, """
    + ", ".join(
        f"0.5::decimal(7, 6) as {name}"
        for name in (
            *("reorder_auc", "reorder_pr_auc", "reorder_calibration_error", "reorder_f1", "reorder_f1_lower"),
            *("reorder_f1_upper", "decay_f1", "repeat_last_f1", "first_purchase_recall_at_10"),
            *("popularity_recall_at_10", "next_in_cart_mrr", "next_in_cart_hit_at_10", "decay_mrr", "decay_hit_at_10"),
        )
    ),
}


def write(data: Path, to: str) -> None:
    """Write predictions for every user of a folder of Instacart files into a folder that is there, or below a URL."""
    with duckdb.connect() as connection:
        if "://" in to:
            connection.execute("create secret (type s3, provider credential_chain)")
        files = {
            "orders": [*data.glob("orders.csv"), *data.glob("orders/*.csv")],
            "lines": [*data.glob("order_products__*.csv"), *data.glob("order_products__*/*.csv")],
            "products": [*data.glob("products.csv")],
        }
        lists = {name: "[" + ", ".join(f"'{path}'" for path in paths) + "]" for name, paths in files.items()}
        # Lines with too few or broken fields are rejected by dbt.
        lists["lines"] += ", ignore_errors = true, strict_mode = true, union_by_name = true"
        connection.execute(_HISTORY.format(**lists))
        for name, query in _TABLES.items():
            connection.execute(f"copy ({query}) to '{to}/{name}.parquet' (format parquet)")
