"""The generator: the same bytes for the same arguments, the official format, life-like behaviour."""

from pathlib import Path

import duckdb
import pytest
from click.testing import CliRunner
from conftest import PROJECT, REAL_DATA
from shared import shopping_behaviour

from retail_warehouse.cli import main
from retail_warehouse.generate import SAMPLE_SEED, SAMPLE_USERS, instacart

SAMPLE = PROJECT / "seeds/samples/instacart"


def contents(folder) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture(scope="module")
def shop():
    """A data set of 5,000 users as views."""
    import tempfile

    with tempfile.TemporaryDirectory() as name, duckdb.connect() as connection:
        instacart.generate(5_000, 1, Path(name))
        read_as_views(connection, name)
        yield connection


def read_as_views(connection, folder) -> None:
    for file_name in instacart.FILES:
        connection.execute(
            f"create view {file_name.removesuffix('.csv')} as from"
            f""" read_csv('{folder}/{file_name}*', header = true, quote = '"', escape = '"', all_varchar = true)"""
        )
    connection.execute(
        "create view order_products as from order_products__prior union all from order_products__train;"
        "create view histories as select *, order_number::integer as number from orders"
    )


def one(connection, sql: str):
    [(value,)] = connection.execute(sql).fetchall()
    return value


def test_the_bundled_sample_is_the_generators_output(tmp_path):
    instacart.generate(SAMPLE_USERS, SAMPLE_SEED, tmp_path)
    assert contents(tmp_path) == contents(SAMPLE), "run `make sample`"


def test_the_bundled_samples_are_small():
    sizes = [path.stat().st_size for path in (PROJECT / "seeds/samples").rglob("*") if path.is_file()]
    assert sum(sizes) <= 2_000_000
    assert max(sizes) <= 1_000_000


def test_same_arguments_same_bytes(tmp_path, monkeypatch):
    for name, seed in (("a", 5), ("b", 5), ("c", 6)):
        # Neither the size of a batch nor the folder matters.
        monkeypatch.setattr(instacart, "USERS_PER_BATCH", 7 if name == "b" else 5_000)
        instacart.generate(30, seed, tmp_path / name)
    assert contents(tmp_path / "a") == contents(tmp_path / "b")
    assert contents(tmp_path / "a")["orders.csv"] != contents(tmp_path / "c")["orders.csv"]


def test_command(tmp_path):
    result = CliRunner().invoke(
        main, ["generate", "instacart", "--users", "5", "--seed", "2", "--out", str(tmp_path / "x")]
    )
    assert result.exit_code == 0, result.output
    assert set(contents(tmp_path / "x")) == set(instacart.FILES)
    assert f"INSTACART_DATA={tmp_path / 'x'} dbt build" in result.output
    for arguments, message in {
        ("--users", "0"): "0 is not in the range x>=1",
        ("--users", "five"): "'five' is not a valid integer",
        ("--seed", "-1"): "-1 is not in the range x>=0",
    }.items():
        result = CliRunner().invoke(main, ["generate", "instacart", "--out", str(tmp_path / "y"), *arguments])
        assert result.exit_code == 2
        assert message in result.output
    (tmp_path / "file").write_text("")
    result = CliRunner().invoke(main, ["generate", "instacart", "--out", str(tmp_path / "file")])
    assert result.exit_code == 2
    assert "is a file" in result.output


def test_an_interrupted_run_leaves_the_files_as_they_were(tmp_path):
    instacart.generate(5, 1, tmp_path)
    before = contents(tmp_path)

    def interrupt():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        instacart.generate(6, 1, tmp_path, on_batch=interrupt)
    assert contents(tmp_path) == before


def test_official_format():
    heads = {path.name: path.read_text(encoding="utf-8").split("\n", 2)[:2] for path in SAMPLE.iterdir()}
    assert heads["aisles.csv"] == ["aisle_id,aisle", "1,prepared soups salads"]
    assert heads["departments.csv"] == ["department_id,department", "1,frozen"]
    assert heads["products.csv"][0] == "product_id,product_name,aisle_id,department_id"
    assert heads["orders.csv"][0] == (
        "order_id,user_id,eval_set,order_number,order_dow,order_hour_of_day,days_since_prior_order"
    )
    for name in ("prior", "train"):
        assert heads[f"order_products__{name}.csv"][0] == "order_id,product_id,add_to_cart_order,reordered"
    for content in contents(SAMPLE).values():
        assert b"\r" not in content
        assert content.endswith(b"\n")


SPECIAL_CASES = {
    "134 aisles": "select count(*) = 134 from aisles",
    "21 departments": "select count(*) = 21 from departments",
    "name with a comma": "select count(*) from products where product_name like '%,%'",
    "name with a double quote": "select count(*) from products where product_name like '%\"%'",
    "backslash before a double quote": "select count(*) from products where product_name like '%\\\"%'",
    "name with an accent": "select count(*) from products where product_name <> strip_accents(product_name)",
    "name with a no-break space": "select count(*) from products where product_name like '%' || chr(160) || '%'",
    "name with an apostrophe": "select count(*) from products where product_name like '%''%'",
    "name of more than 150 letters": "select count(*) from products where length(product_name) > 150",
    "names that differ only in case": "select count(*) - count(distinct lower(product_name)) from products",
    "product of the department `missing`": "select count(*) from products where department_id = '21'",
    "product that nobody bought": "select count(*) from products anti join order_products using (product_id)",
    "user with 4 orders": "select count(*) from (from orders group by user_id having count(*) = 4)",
    "user with more than 50 orders": "select count(*) from (from orders group by user_id having count(*) > 50)",
    "first order without a gap": "select count(*) from orders where days_since_prior_order is null",
    "gap of 0 days": "select count(*) from orders where days_since_prior_order = '0.0'",
    "gap cut at 30 days": "select count(*) from orders where days_since_prior_order = '30.0'",
    "hour written with a leading zero": "select count(*) from orders where order_hour_of_day = '08'",
    "order at midnight": "select count(*) from orders where order_hour_of_day = '00'",
    "train order": "select count(*) from orders where eval_set = 'train'",
    "test order, without lines": "select count(*) from orders anti join order_products using (order_id)"
    " where eval_set = 'test'",
    "order with one line": "select count(*) from (from order_products group by order_id having count(*) = 1)",
    "order with more than 30 lines": "select count(*) from (from order_products group by order_id"
    " having count(*) > 30)",
    "order with nothing reordered after the first": "select count(*) from (select order_id from order_products"
    " join histories using (order_id) where number > 1 group by order_id having max(reordered) = '0')",
    "order with everything reordered": "select count(*) from (from order_products group by order_id"
    " having min(reordered) = '1')",
}


@pytest.mark.parametrize("case", SPECIAL_CASES)
def test_the_bundled_sample_holds_every_special_case(case):
    with duckdb.connect() as connection:
        read_as_views(connection, SAMPLE)
        sql = SPECIAL_CASES[case].replace("(from ", "(select 1 from ")
        assert one(connection, sql) >= 1


def test_life_like_orders(shop):
    assert 15 <= one(shop, "select count(*) / count(distinct user_id) from orders") <= 18.5
    assert one(shop, "select min(n) from (select count(*) as n from orders group by user_id)") == 4
    assert one(shop, "select max(n) from (select count(*) as n from orders group by user_id)") <= 100
    assert one(shop, "select max(days_since_prior_order::float) from orders") == 30
    assert (
        one(
            shop,
            "select count(*) from orders where (number = 1) <> (days_since_prior_order is null)".replace(
                "from orders", "from histories"
            ),
        )
        == 0
    )
    last = "(select *, number = max(number) over (partition by user_id) as is_last from histories)"
    assert one(shop, f"select count(*) from {last} where is_last <> (eval_set <> 'prior')") == 0
    assert 0.60 <= one(shop, f"select avg((eval_set = 'train')::integer) from {last} where is_last") <= 0.68


def test_life_like_rhythm(shop):
    """A user keeps to a rhythm: the gaps of one user vary less than those of all, and weeks stand out."""
    gaps = "(select user_id, days_since_prior_order::float as gap from orders where days_since_prior_order is not null)"
    within = one(shop, f"select avg(spread) from (select stddev(gap) as spread from {gaps} group by user_id)")
    assert within < 0.85 * one(shop, f"select stddev(gap) from {gaps}")
    # 30 stands for all longer gaps, and is as common in the published files.
    assert one(shop, f"select mode(gap) from {gaps} where gap < 30") == 7


def test_life_like_baskets(shop):
    baskets = "(select count(*) as n from order_products group by order_id)"
    assert 9.3 <= one(shop, f"select avg(n) from {baskets}") <= 10.7
    assert one(shop, f"select mode(n) from {baskets}") == 5


def test_life_like_products(shop):
    assert 0.56 <= one(shop, "select avg(reordered::integer) from order_products") <= 0.62
    sales = "(select count(*) as n from order_products group by product_id)"
    assert 0.005 <= one(shop, f"select max(n) / sum(n) from {sales}") <= 0.03
    # Long tail: a tenth of the products makes most of the sales, and yet most products sell.
    top = f"(select n, percent_rank() over (order by n desc) as place from {sales})"
    assert 0.5 <= one(shop, f"select sum(n) filter (place <= 0.1) / sum(n) from {top}") <= 0.9
    # Favourites: the product a user bought most takes far more than its even share of the user's lines.
    lines = "(select user_id, product_id, count(*) as n from order_products join orders using (order_id) group by all)"
    assert one(shop, f"select avg(m) from (select max(n) / avg(n) as m from {lines} group by user_id)") > 3


@pytest.fixture(scope="module")
def behaviour(shop):
    return shopping_behaviour.measure(shop)


@pytest.mark.parametrize("figure", shopping_behaviour.REAL)
def test_users_shop_as_real_ones_do(behaviour, figure):
    """Each figure is within a quarter of the real one."""
    assert behaviour[figure] == pytest.approx(shopping_behaviour.REAL[figure], rel=0.25)


def test_figures_of_behaviour_notice_its_lack(tmp_path):
    """With products dealt out at random, no figure that looks at them is near the real one."""
    instacart.generate(1_000, 1, tmp_path)
    with duckdb.connect() as connection:
        read_as_views(connection, tmp_path)
        connection.execute(
            """
            create table dealt as
            select lines.order_id, shuffled.product_id, lines.add_to_cart_order, lines.reordered
            from (select *, row_number() over (order by order_id, add_to_cart_order) as n from order_products) as lines
            inner join (
                select product_id, row_number() over (order by hash(order_id, product_id)) as n from order_products
            ) as shuffled using (n);
            create or replace view order_products as
            select order_id, product_id, min(add_to_cart_order) as add_to_cart_order, min(reordered) as reordered
            from dealt group by all
            """
        )
        figures = shopping_behaviour.measure(connection)
    unnoticed = {
        figure for figure, real in shopping_behaviour.REAL.items() if figures[figure] == pytest.approx(real, rel=0.25)
    }
    assert unnoticed == {
        "share of gaps of 0, 7, 14, 30 days",
        "share of orders by day of week",
        "gap of 7 days after one of 7 days",
        "spread of the hour within a user",
        "reordered at cart position 1, 5, 10, 15",
        "share of first-time items in order 2, 3, 5, 10, 20, 40",
    }


@pytest.mark.skipif(
    not REAL_DATA or not (Path(REAL_DATA) / "instacart_400_users").is_dir(),
    reason="RETAIL_WAREHOUSE_REAL_DATA names no folder with instacart_400_users and instacart_40000_carts",
)
@pytest.mark.parametrize(
    ("extract", "figures"),
    [
        ("instacart_400_users", shopping_behaviour.HISTORIES),
        ("instacart_40000_carts", shopping_behaviour.CARTS),
    ],
)
def test_real_users_shop_as_real_ones_do(extract, figures):
    """The figures are measured as the real ones were; the extracts are other users, and so leave some leeway."""
    with duckdb.connect() as connection:
        read_as_views(connection, Path(REAL_DATA) / extract)
        measured = shopping_behaviour.measure(connection)
    for figure, real in figures.items():
        assert measured[figure] == pytest.approx(real, rel=0.15), figure


def test_keys_and_sequences(shop):
    assert one(shop, "select count(*) - count(distinct product_name) from products") == 0
    for table, key in (("orders", "order_id"), ("products", "product_id"), ("aisles", "aisle_id")):
        assert one(shop, f"select count(*) - count(distinct {key}::integer) from {table}") == 0
    assert one(shop, "select max(order_id::integer) - count(*) from orders") == 0
    assert one(shop, "select count(*) - count(distinct (order_id, product_id)) from order_products") == 0
    assert one(shop, "select count(*) from order_products anti join products using (product_id)") == 0
    assert (
        one(
            shop,
            "select count(*) from (select order_id from order_products group by order_id"
            " having max(add_to_cart_order::integer) <> count(*) or count(distinct add_to_cart_order) <> count(*))",
        )
        == 0
    )


def test_every_order_but_test_orders_has_lines(shop, tmp_path):
    empty = "select count(*) from orders anti join order_products using (order_id) where eval_set <> 'test'"
    assert one(shop, empty) == 0
    # Also where the catalogue is so small that aisles are empty.
    instacart.generate(3, 1, tmp_path)
    with duckdb.connect() as connection:
        read_as_views(connection, tmp_path)
        assert one(connection, "select count(distinct aisle_id) from products") < 134
        assert one(connection, empty) == 0


def test_reordered_says_whether_the_user_bought_the_product_before(shop):
    wrong = """
        with purchases as (
            select
                reordered = '1' as reordered,
                row_number() over (partition by user_id, product_id order by number) as purchase
            from order_products inner join histories using (order_id)
        )
        select count(*) from purchases where reordered <> (purchase > 1)
    """
    assert one(shop, wrong) == 0


def test_at_full_size_the_catalogue_is_complete():
    assert instacart.product_count(206_209) == 49_688
    assert instacart.product_count(1) < 200
    assert instacart.batch_count(206_209) == 42
    assert instacart.batch_count(1) == 1
