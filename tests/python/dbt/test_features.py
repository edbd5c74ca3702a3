"""Features know nothing of the order to be predicted, nor of what comes after it, and fit any data."""

import graphlib
import json
import shutil

import duckdb
import pytest
from conftest import MODELS, PROJECT

pytestmark = pytest.mark.slow

# Of each relation what identifies a row, and what tells of the target by its nature.
BY_TARGET = {
    "ftr_users": ("user_id, orders_back", ""),
    "ftr_user_aisles": ("user_id, aisle_id, orders_back", ""),
    "ftr_user_products": ("user_id, product_id, orders_back", "is_bought"),
    "ftr_reorder_candidates": ("user_id, product_id, orders_back", "is_bought"),
}
OF_ALL_USERS = ("ftr_products", "ftr_product_pairs", "ftr_aisle_transitions")
# Every line of the orders of age {age} and later, of users who have a target of that age: other products, another order
# in the cart, the contrary of `reordered`, and a third of the lines gone.
CHANGE = """
create temp table later as
select orders.order_id, orders.basket_size
from features.ftr_orders as orders
inner join features.ftr_targets as targets on orders.user_id = targets.user_id and targets.orders_back = {age}
where orders.order_age <= {age};
create temp table others as
select product_id, lead(product_id, 7, product_id) over (order by product_id) as other_id from instacart.products;
create temp table changed as
select
    lines.order_id,
    -- One product for another, so that no order has one twice.
    coalesce(others.other_id, lines.product_id) as product_id,
    later.basket_size + 1 - lines.add_to_cart_order as add_to_cart_order,
    1 - lines.reordered as reordered
from instacart.order_products as lines
inner join later using (order_id)
left join (
    select product_id, other_id from others
    where product_id not in (select product_id from others order by product_id desc limit 7)
) as others on lines.product_id = others.product_id
where later.basket_size < 3 or lines.add_to_cart_order % 3 > 0
qualify row_number() over (partition by order_id, coalesce(others.other_id, lines.product_id)) = 1;
delete from instacart.order_products where order_id in (select order_id from later);
insert into instacart.order_products select * from changed;
update instacart.fct_orders as orders
set basket_size = baskets.basket_size, reordered_items = baskets.reordered_items
from (select order_id, count(*) as basket_size, sum(reordered) as reordered_items from changed group by all) as baskets

where orders.order_id = baskets.order_id;
"""


class Features:
    """A copy of the built warehouse, in which the features can be made anew from changed orders."""

    def __init__(self, built, folder):
        nodes = json.loads(built.manifest.read_text())["nodes"]
        self.sql = {
            node["name"]: node["compiled_code"]
            for node in nodes.values()
            if node["resource_type"] == "model" and node["path"].startswith("features/")
        }
        parents = {
            node["name"]: [nodes[id_]["name"] for id_ in node["depends_on"]["nodes"]]
            for node in nodes.values()
            if node["name"] in self.sql
        }
        self.order = [name for name in graphlib.TopologicalSorter(parents).static_order() if name in self.sql]
        copy = folder / built.warehouse.name  # the compiled SQL names the database by its file
        shutil.copy(built.warehouse, copy)
        self.connection = duckdb.connect(str(copy))
        self.connection.execute("set default_null_order = 'nulls_last_on_asc_first_on_desc'")
        self.connection.execute("set integer_division = true")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.connection.close()

    def make(self, **sql: str) -> None:
        for name in self.order:
            kind = "view" if name == "ftr_reorder_candidates" else "table"
            self.connection.execute(f"create or replace {kind} features.{name} as {sql.get(name, self.sql[name])}")

    def keep(self) -> None:
        """Remember the features as they are, to compare with."""
        self.connection.execute("drop schema if exists kept cascade; create schema kept")
        for name in self.order:
            self.connection.execute(f"create table kept.{name} as from features.{name}")

    def count(self, query: str) -> int:
        return self.connection.execute(f"select count(*) from ({query})").fetchall()[0][0]

    def changed(self, age: int) -> set[str]:
        """The relations with a feature that is not as it was for targets at that age or before."""
        found = set()
        for name, (_, label) in BY_TARGET.items():
            columns = f"* exclude ({label})" if label else "*"
            before, now = (
                f"select {columns} from {schema}.{name} where orders_back >= {age}" for schema in ("kept", "features")
            )
            # Users with a shorter history have no target at that age: their last orders were not changed.
            if self.count(f"({before} except all {now}) union all ({now} except all {before})"):
                found.add(name)
        for name in OF_ALL_USERS:
            before, now = f"from kept.{name}", f"from features.{name}"
            if self.count(f"({before} except all {now}) union all ({now} except all {before})"):
                found.add(name)
        return found


@pytest.mark.parametrize("age", [1, 2, 3, 4])
def test_no_feature_changes_with_later_lines(built, tmp_path, age):
    with Features(built, tmp_path) as features:
        features.keep()
        features.connection.execute(CHANGE.format(age=age))
        features.make()
        assert features.changed(age) == set()
        # They did change, and so did what was to change: labels, and features of later targets.
        labels = "select user_id, product_id, is_bought from {}.ftr_user_products where orders_back = " + str(age)
        assert features.count(f"{labels.format('kept')} except {labels.format('features')}") > 100
        assert features.count("from kept.ftr_user_products where orders_back >= " + str(age)) > 1000
        assert features.changed(age - 1) > set()
        for name in OF_ALL_USERS:
            assert features.count(f"from features.{name}") > 1000


# Ways to let the target, or what follows it, into the features: model, what stands there, the fault, who shows it.
LEAKS = {
    "the target is counted as history": (
        "ftr_users",
        "targets.orders_back < orders.order_age",
        "targets.orders_back <= orders.order_age",
        {"ftr_users", "ftr_reorder_candidates"},
    ),
    "so are its lines": (
        "ftr_user_products",
        "targets.orders_back < order_products.order_age",
        "targets.orders_back <= order_products.order_age",
        {"ftr_user_products", "ftr_reorder_candidates"},
    ),
    "so are its aisles": (
        "ftr_user_aisles",
        "targets.orders_back < order_aisles.order_age",
        "targets.orders_back <= order_aisles.order_age",
        {"ftr_user_aisles", "ftr_reorder_candidates"},
    ),
    "a last purchase is looked for in all orders": (
        "ftr_user_products",
        "when order_products.next_order_age > targets.orders_back then 0 else 1",
        "when order_products.next_order_age is not null then 0 else 1",
        {"ftr_user_products", "ftr_reorder_candidates"},
    ),
    "products are counted in all orders": (
        "ftr_products",
        "where is_in_statistics",
        "where basket_size is not null",
        {"ftr_products", "ftr_reorder_candidates", "ftr_user_aisles"},
    ),
    "so are pairs and transitions": (
        "ftr_orders",
        "is_in_statistics and sample_rank",
        "basket_size is not null and sample_rank",
        {"ftr_product_pairs", "ftr_aisle_transitions"},
    ),
    "the first purchase in the next order is the target's": (
        "ftr_orders",
        "coalesce(order_age - 1 > oldest_target_age, false)",
        "coalesce(order_age - 1 > 0, false)",
        {"ftr_product_pairs"},
    ),
}


@pytest.mark.parametrize("leak", LEAKS)
def test_a_leak_would_be_noticed(built, tmp_path, leak):
    model, right, wrong, shown_by = LEAKS[leak]
    with Features(built, tmp_path) as features:
        text = features.sql[model]
        assert text.count(right) == 1, text
        fault = {model: text.replace(right, wrong)}
        features.make(**fault)
        features.keep()
        features.connection.execute(CHANGE.format(age=1))
        features.make(**fault)
        assert shown_by <= features.changed(1)


def test_every_run_gives_the_same_features(built, tmp_path):
    """To the last bit, with more threads too: models must not depend on the order in which rows are added up."""
    with Features(built, tmp_path) as features:
        features.keep()
        features.connection.execute("set threads = 4; set preserve_insertion_order = false")
        features.make()
        for name in features.order:
            assert features.count(f"from kept.{name} except all from features.{name}") == 0, name
            assert features.count(f"from features.{name} except all from kept.{name}") == 0, name


def test_the_view_does_not_depend_on_settings_of_the_session(built):
    """Training opens the warehouse with those of DuckDB, not of the profile."""
    rows = []
    for integer_division in ("true", "false"):
        with duckdb.connect(str(built.warehouse), read_only=True) as connection:
            connection.execute(f"set integer_division = {integer_division}")
            query = "from features.ftr_reorder_candidates order by user_id, orders_back, product_id"
            rows.append(connection.execute(query).fetchall())
    assert rows[0] == rows[1] != []


def test_a_chunk_of_users_is_that_part_of_all(built):
    with duckdb.connect(str(built.warehouse), read_only=True) as connection:
        query = "select * from features.ftr_reorder_candidates {} order by user_id, orders_back, product_id"
        everything = connection.execute(query.format("")).fetchall()
        chunks = []
        for first in range(0, 400, 100):
            where = f"where user_id between {first} and {first + 99}"
            chunks.extend(connection.execute(query.format(where)).fetchall())
    assert chunks == everything


def test_carts_without_history(built, tmp_path):
    """Users with one order each: nothing to train on for what is bought again, but carts for what comes next."""
    with Features(built, tmp_path) as features:
        features.connection.execute("""
            delete from instacart.order_products
            where order_id not in (select order_id from instacart.orders where order_number = 1);
            delete from instacart.fct_orders where order_number > 1;
            """)
        features.make()
        users = features.count("from instacart.fct_orders")
        assert features.count("from features.ftr_targets where orders_back = 0") == users
        carts = features.count("from features.ftr_targets where orders_back = 1 and history_orders = 0")
        assert 0.15 * users < carts < 0.35 * users
        assert features.count("from features.ftr_users where orders_back > 0") == 0
        assert features.count("from features.ftr_reorder_candidates where orders_back > 0") == 0
        # The order to come has the usual day and hour, but no known gap.
        assert features.count("from features.ftr_users where days_since_prior_order is not null") == 0
        assert features.count("select distinct order_id from features.ftr_cart_steps") == carts
        assert features.count("from features.ftr_product_pairs where orders_with_both > 0") > 0
        held_out = "select order_id from features.ftr_cart_steps"
        assert features.count(f"from features.ftr_orders where is_in_statistics and order_id in ({held_out})") == 0
        assert features.count("from features.ftr_orders where is_in_statistics") == users - carts


def test_an_empty_shop(built, tmp_path):
    with Features(built, tmp_path) as features:
        features.connection.execute("delete from instacart.order_products; delete from instacart.fct_orders")
        features.make()
        for name in features.order:
            if name not in ("ftr_products", "ftr_aisle_transitions"):
                assert features.count(f"from features.{name}") == 0, name
        assert features.count("from features.ftr_products where reorder_share is not null or order_count > 0") == 0
        assert features.count("from features.ftr_aisle_transitions where lift <> 1") == 0


def test_the_plain_build_has_no_features(dbt, data):
    """And needs no trained model; `new_orders` leaves features out as well."""
    built = dbt(*MODELS, data=data)
    assert built.ok, built.output
    assert dbt.query("select schema_name from duckdb_schemas() where schema_name in ('features', 'predictions')") == []
    listed = dbt("ls", "--quiet", "--selector", "new_orders", data=data)
    assert "ftr_" not in listed.output
    # After it, features can be built, and predictions cannot: one message tells what is missing, and what to do.
    made = dbt(*MODELS, "--selector", "features", data=data)
    assert made.ok, made.output
    assert dbt.query("select count(*) from features.ftr_reorder_candidates")[0][0] > 0
    missing = dbt("build", "--selector", "predictions", data=data, PREDICTIONS_DATA=str(data / "nowhere"))
    assert not missing.ok
    for text in (
        f'The predictions in the folder "{data / "nowhere"}" cannot be read:',
        "- model_runs.parquet is missing",
        "- predicted_reorders.parquet is missing",
        "Write them with `retail-warehouse train` and `retail-warehouse predict`, or set PREDICTIONS_DATA",
    ):
        assert text in missing.output
    assert missing.output.count("cannot be read") == 1
    # Where they only come along, as with `source:instacart+`, and none was ever made, they are empty.
    if not (PROJECT / "predictions").exists():
        empty = dbt(*MODELS, "--select", "predicted_baskets", "model_runs", "rpt_order_gaps", data=data)
        assert empty.ok, empty.output
        assert "No predictions were made yet, so that their tables are empty." in empty.output
        assert dbt.query(
            "select (select count(*) from predictions.predicted_baskets), count(*) from audit.model_runs"
        ) == [(0, 0)]
        assert not dbt(*MODELS, "--select", "predicted_baskets", data=data).ok


def test_prediction_files_of_another_kind_are_told(dbt, data, tmp_path):
    with duckdb.connect() as connection:
        connection.execute(f"copy (select 1 as model_version) to '{tmp_path / 'model_runs.parquet'}' (format parquet)")
    outcome = dbt("build", "--select", "model_runs", data=data, PREDICTIONS_DATA=str(tmp_path))
    assert not outcome.ok
    assert "- model_runs.parquet has no column trained_at" in outcome.output
