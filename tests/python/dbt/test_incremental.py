"""Files that arrive later are processed without the others, with the result of a full refresh, row for row."""

import contextlib
import gzip
import os
import random
import re
import shutil
import signal
import time

import duckdb
import pytest
from conftest import INSTACART, MODELS, DataFolder, settle, wait_for_output
from shared.comparison import differences, relations

pytestmark = pytest.mark.slow

TABLES = ("orders", "order_products__prior", "order_products__train")


def deliver(data, table: str, name: str, lines: list[str]) -> None:
    """Write lines under the official header into a further file of a table."""
    (data / table).mkdir(exist_ok=True)
    header = data.lines(table)[0]
    path = data / table / name
    path.write_text("\n".join([header, *lines]) + "\n", encoding="utf-8")
    settle(path)


def hold_back(data, is_held_back) -> dict[str, list[str]]:
    """Take the orders for whose id `is_held_back` is true, with their lines, out of the files and return their lines by
    table."""
    taken = {}
    for table in TABLES:
        header, *lines = data.lines(table)
        taken[table] = [line for line in lines if is_held_back(int(line.split(",")[0]))]
        data.write(table, [header, *(line for line in lines if line not in set(taken[table]))])
    return taken


def build(dbt, data, *arguments: str, **environment: str):
    outcome = dbt(*MODELS, *INSTACART, *arguments, data=data, **environment)
    assert outcome.ok, outcome.output
    dbt.reconciliation()
    return outcome


LEDGER = "select * exclude (processed_at, tested_at) from audit.processed_files order by all"


def assert_equals_full_refresh(dbt, data, tmp_path) -> None:
    """Compare every relation with those of `dbt build --full-refresh`, whose warehouse stays for the next step."""
    shutil.copy(dbt.warehouse, tmp_path / "incremental.duckdb")
    ledger = dbt.query(LEDGER)
    build(dbt, data, "--full-refresh")
    names = relations(dbt)
    assert "instacart.fct_orders" in names
    assert differences(dbt, names, tmp_path / "incremental.duckdb") == {}
    assert dbt.query(LEDGER) == ledger


def processed(dbt, model: str = "fct_orders") -> set[str]:
    rows = dbt.query(f"select file_name from audit.processed_files where model_name = '{model}'")
    return {name for (name,) in rows}


def count(dbt, relation: str, where: str = "true") -> int:
    [(rows,)] = dbt.query(f"select count(*) from {relation} where {where}")
    return rows


@pytest.fixture(scope="module")
def base(_session_dbt, small, tmp_path_factory):
    """A data folder from which every fourth order was held back; copies of it and of the warehouse built from it lie in
    the folder above."""
    folder = tmp_path_factory.mktemp("base")
    data = DataFolder(shutil.copytree(small.data, folder / "data"))
    data.held_back = hold_back(data, lambda order_id: order_id % 4 == 0)
    _session_dbt.clear()
    shutil.copy(small.warehouse, _session_dbt.warehouse)
    outcome = _session_dbt(*MODELS, *INSTACART, "--full-refresh", data=data)
    assert outcome.ok, outcome.output
    shutil.copy(_session_dbt.warehouse, folder / "warehouse.duckdb")
    shutil.copytree(data, folder / "copy")
    return data


@pytest.fixture
def loaded(dbt, base):
    """The data folder and the warehouse as they were, for the test's own use."""
    shutil.rmtree(base)
    shutil.copytree(base.parent / "copy", base)
    shutil.copy(base.parent / "warehouse.duckdb", dbt.warehouse)
    return base


def spoil(path) -> None:
    """Give a file other rows of the same size and time, so that whoever reads it again comes to grief."""
    before = path.stat()
    header, _, rows = path.read_bytes().partition(b"\n")
    path.write_bytes(header + b"\n" + b"x" * len(rows))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def test_only_new_files_are_read(dbt, loaded, tmp_path):
    orders = count(dbt, "instacart.orders")
    for table in TABLES:
        deliver(loaded, table, "later.csv", loaded.held_back[table])
    for table in TABLES:
        shutil.copy2(loaded / f"{table}.csv", tmp_path)
        spoil(loaded / f"{table}.csv")
    build(dbt, loaded, DBT_LOG_LEVEL_FILE="debug")
    # Whether a model must be rebuilt is asked once, for its SQL, its hooks and its materialization.
    log = (dbt.folder / "logs" / "dbt.log").read_text()
    asked = re.findall(r"where model_name = '(\w+)'\s+\),\s+above as \(", log)
    assert "fct_orders" in asked
    assert len(asked) == len(set(asked))
    for table in TABLES:
        shutil.copy2(tmp_path / f"{table}.csv", loaded)
    assert count(dbt, "instacart.orders") == orders + len(loaded.held_back["orders"])
    assert count(dbt, "audit.rejected_rows", "source_name = 'instacart'") == 0
    assert_equals_full_refresh(dbt, loaded, tmp_path)


def test_lines_before_their_orders(dbt, loaded, tmp_path):
    for table in TABLES[1:]:
        deliver(loaded, table, "early.csv", loaded.held_back[table])
    build(dbt, loaded)
    orphans = len(loaded.held_back[TABLES[1]] + loaded.held_back[TABLES[2]])
    assert orphans
    assert count(dbt, "audit.rejected_rows", "reason = 'missing_parent'") == orphans
    deliver(loaded, "orders", "late.csv", loaded.held_back["orders"])
    build(dbt, loaded)
    assert count(dbt, "audit.rejected_rows", "source_name = 'instacart'") == 0
    assert_equals_full_refresh(dbt, loaded, tmp_path)


def test_a_late_file_that_sorts_first_keeps_its_rows(dbt, loaded, tmp_path):
    """Of duplicates the first in file order stays, also where it arrives last."""
    orders = loaded.held_back["orders"]
    deliver(loaded, "orders", "b.csv", orders)
    build(dbt, loaded)
    changed = [line.rsplit(",", 2)[0] + ",23," + line.rsplit(",", 1)[1] for line in orders]
    deliver(loaded, "orders", "a.csv", [*changed[:-1], changed[-1].replace(",23,", ",25,")])
    build(dbt, loaded)
    assert count(dbt, "audit.rejected_rows", "file_name = 'orders/b.csv' and reason = 'duplicate_key'") == len(orders)
    ids = ", ".join(line.split(",")[0] for line in orders)
    assert count(dbt, "instacart.orders", f"order_id in ({ids}) and order_hour_of_day = 23") == len(orders) - 1
    # The order whose first row is out of its domain is gone, from every mart.
    gone = orders[-1].split(",")[0]
    for mart in ("orders", "fct_orders", "order_products"):
        assert count(dbt, f"instacart.{mart}", f"order_id = {gone}") == 0
    assert_equals_full_refresh(dbt, loaded, tmp_path)


def test_the_same_file_twice(dbt, loaded, tmp_path):
    for table in TABLES:
        deliver(loaded, table, "x.csv", loaded.held_back[table])
    build(dbt, loaded)
    before = dbt.query("select * from instacart.fct_orders order by all")
    # The same name again: nothing to do.
    build(dbt, loaded)
    assert dbt.query("select * from instacart.fct_orders order by all") == before
    assert count(dbt, "audit.rejected_rows", "source_name = 'instacart'") == 0
    # Another name, packed even: another delivery, all of whose rows are duplicates.
    with gzip.open(loaded / "orders" / "y.csv.gz", "wb") as file:
        file.write((loaded / "orders" / "x.csv").read_bytes())
    settle(loaded / "orders" / "y.csv.gz")
    build(dbt, loaded)
    assert dbt.query("select * from instacart.fct_orders order by all") == before
    rows = len(loaded.held_back["orders"])
    assert count(dbt, "audit.rejected_rows", "file_name = 'orders/y.csv.gz' and reason = 'duplicate_key'") == rows
    assert_equals_full_refresh(dbt, loaded, tmp_path)


def test_a_file_that_changes_within_its_second_is_read_again(dbt, loaded):
    """Times are known to the second: a file of this very second may change once more without a sign."""
    path, orders = loaded / "orders" / "now.csv", loaded.held_back["orders"]
    deliver(loaded, "orders", "now.csv", orders)
    now = int(time.time()) + 1
    os.utime(path, (now, now))
    build(dbt, loaded)
    assert count(dbt, "instacart.orders", f"order_id = {orders[0].split(',')[0]}") == 1
    path.write_text(path.read_text().replace(orders[0], "x" * len(orders[0])))
    os.utime(path, (now, now))
    while time.time() < now + 1:
        time.sleep(0.05)
    build(dbt, loaded)
    assert count(dbt, "instacart.orders", f"order_id = {orders[0].split(',')[0]}") == 0


def test_a_corrected_and_a_removed_file(dbt, loaded, tmp_path):
    orders = loaded.held_back["orders"]
    before = dbt.query("select * from instacart.fct_orders order by all")
    deliver(loaded, "orders", "x.csv", [*orders[1:], "oops"])
    deliver(loaded, "orders", "without rows.csv", [])
    build(dbt, loaded)
    assert dbt.reconciliation()["orders/x.csv"] == [len(orders), len(orders) - 1, 1]
    assert dbt.reconciliation()["orders/without rows.csv"] == [0, 0, 0]
    # The same name with other contents: the rows of before are gone.
    deliver(loaded, "orders", "x.csv", orders)
    build(dbt, loaded)
    assert dbt.reconciliation()["orders/x.csv"] == [len(orders), len(orders), 0]
    assert_equals_full_refresh(dbt, loaded, tmp_path)
    # The warehouse is what the folder says.
    (loaded / "orders" / "x.csv").unlink()
    (loaded / "orders" / "without rows.csv").unlink()
    build(dbt, loaded)
    assert dbt.query("select * from instacart.fct_orders order by all") == before
    assert processed(dbt) == {f"{name}.csv" for name in ("aisles", "departments", "products", *TABLES)}
    assert_equals_full_refresh(dbt, loaded, tmp_path)


def test_further_products_accept_lines_that_waited_for_them(dbt, loaded, tmp_path):
    header, *products = loaded.lines("products")
    used = {line.split(",")[1] for line in loaded.lines("order_products__prior")[1:]}
    held_back = [line for line in products if line.split(",")[0] in used][:5]
    loaded.write("products", [header, *(line for line in products if line not in held_back)])
    build(dbt, loaded)
    assert count(dbt, "audit.rejected_rows", "reason = 'missing_parent'") > 0
    deliver(loaded, "products", "more.csv", held_back)
    build(dbt, loaded)
    assert count(dbt, "audit.rejected_rows", "source_name = 'instacart'") == 0
    assert_equals_full_refresh(dbt, loaded, tmp_path)


def test_another_folder_with_files_of_the_same_names_sizes_and_times(dbt, loaded, tmp_path):
    other = tmp_path / "other"
    shutil.copytree(loaded, other, copy_function=shutil.copy2)
    spoil(other / "orders.csv")
    outcome = dbt(*MODELS, *INSTACART, data=other)
    assert outcome.ok, outcome.output
    assert count(dbt, "instacart.orders") == 0


def test_folders_instead_of_single_files(dbt, loaded):
    before = dbt.query("select * from instacart.fct_orders order by all")
    parts = {
        "aisles": "Aisles/a.csv",
        "orders": "orders/part 1.CSV",
        "order_products__prior": "order_products__prior/line=2026/day=1/it's [all].csv",
        "order_products__train": "order_products__train.csv/part-0.csv",
    }
    for table, part in parts.items():
        (loaded / f"{table}.csv").rename(loaded / "whole.txt")
        (loaded / part).parent.mkdir(parents=True)
        (loaded / "whole.txt").rename(loaded / part)
    build(dbt, loaded.parent / "." / "away" / ".." / f"{loaded.name}//")
    assert dbt.query("select * from instacart.fct_orders order by all") == before
    for table, part in parts.items():
        assert processed(dbt, f"stg_instacart__{table}") == {part}
    shutil.copy(loaded / "orders" / "part 1.CSV", loaded / "orders" / "part 1.csv.gz")
    outcome = dbt(*MODELS, *INSTACART, data=loaded)
    assert not outcome.ok
    assert "both orders/part 1.CSV and orders/part 1.csv.gz are there" in outcome.output


@pytest.mark.parametrize("seed", [1])
def test_any_order_of_deliveries(dbt, loaded, tmp_path, seed):
    """Orders and lines cut into files at random, some twice, some changed, delivered in any order."""
    draw = random.Random(seed)
    deliveries = []
    for table in TABLES:
        lines = [*loaded.held_back[table], *draw.sample(loaded.lines(table)[1:], 5)]
        lines += [line.rsplit(",", 1)[0] + ",x" for line in draw.sample(lines, 5)]
        lines += draw.sample(lines, 5)
        draw.shuffle(lines)
        cuts = sorted(draw.sample(range(len(lines)), 2))
        names = draw.sample(["a.csv", "m.csv", "z.csv"], 3)
        for name, part in zip(names, [lines[: cuts[0]], lines[cuts[0] : cuts[1]], lines[cuts[1] :]], strict=True):
            deliveries.append((table, name, part))
    draw.shuffle(deliveries)
    while deliveries:
        for delivery in deliveries[: draw.choice([1, 2, 3])]:
            deliver(loaded, *delivery)
            deliveries.remove(delivery)
        build(dbt, loaded)
    assert count(dbt, "audit.rejected_rows", "reason = 'duplicate_key'") >= 15
    assert_equals_full_refresh(dbt, loaded, tmp_path)


def test_a_failed_run_in_between(dbt, loaded, tmp_path):
    """The gate stops the marts after staging has taken the files in; the next run catches up."""
    before = dbt.query("select * from instacart.fct_orders order by all")
    for table in TABLES:
        deliver(loaded, table, "good.csv", loaded.held_back[table])
    deliver(loaded, "orders", "bad.csv", ["oops"] * 50)
    outcome = dbt("build", "--exclude-resource-type", "unit_test", *INSTACART, data=loaded)
    assert not outcome.ok
    assert "instacart_rejected_rows_within_limit" in outcome.output
    assert dbt.query("select * from instacart.fct_orders order by all") == before
    assert "orders/good.csv" in processed(dbt, "stg_instacart__orders")
    assert "orders/good.csv" not in processed(dbt)
    (loaded / "orders" / "bad.csv").unlink()
    build(dbt, loaded)
    assert count(dbt, "instacart.orders") == len(before) + len(loaded.held_back["orders"])
    assert_equals_full_refresh(dbt, loaded, tmp_path)


def test_a_killed_run_in_between(dbt, loaded, tmp_path):
    shutil.copy(dbt.warehouse, tmp_path / "before.duckdb")
    for table in TABLES:
        deliver(loaded, table, "later.csv", loaded.held_back[table])
    build(dbt, loaded)
    names = relations(dbt)
    shutil.copy(dbt.warehouse, tmp_path / "undisturbed.duckdb")
    within = r"On model\.retail_warehouse\.{0}: (?:(?!On model).)*?insert into [^(]*\b{0}\b"
    after = r" OK created [^\n]*\.{0} "
    for model, moment in (
        ("stg_instacart__order_products__prior", within),
        ("int_order_products_rejected", after),
        ("orders", within),
        ("order_products", after),
        ("fct_orders", within),
    ):
        dbt.clear()
        shutil.copy(tmp_path / "before.duckdb", dbt.warehouse)
        process = dbt.start("--debug", *MODELS, *INSTACART, data=loaded)
        wait_for_output(dbt, process, moment.format(model))
        process.kill()
        process.join()
        assert process.exitcode == -signal.SIGKILL
        # Rows and their entry in the ledger are there together, or not at all.
        has_later = any(name.endswith("later.csv") for name in processed(dbt, model))
        assert has_later == (moment is after), (model, moment)
        build(dbt, loaded)
        assert differences(dbt, names, tmp_path / "undisturbed.duckdb") == {}, model


def test_models_run_by_themselves_take_in_no_more_than_what_lies_above(dbt, loaded, tmp_path):
    for table in TABLES:
        deliver(loaded, table, "later.csv", loaded.held_back[table])
    for selected in (
        ["fct_orders"],
        ["stg_instacart__order_products__prior", "int_order_products_rejected", "order_products", "fct_orders"],
        ["stg_instacart__orders", "orders"],
        ["int_orders_rejected", "int_order_products_rejected", "fct_orders"],
        ["order_products", "fct_orders"],
    ):
        outcome = dbt("run", "--select", *selected, data=loaded)
        assert outcome.ok, outcome.output
    assert "orders/later.csv" not in processed(dbt)
    build(dbt, loaded)
    assert "orders/later.csv" in processed(dbt)
    assert_equals_full_refresh(dbt, loaded, tmp_path)


def test_an_empty_build_and_a_lost_ledger_are_made_good(dbt, loaded):
    before = dbt.query("select * from instacart.fct_orders order by all")
    build_empty = dbt(*MODELS, *INSTACART, "--empty", data=loaded)
    assert build_empty.ok, build_empty.output
    assert count(dbt, "instacart.fct_orders") == 0
    build(dbt, loaded)
    assert dbt.query("select * from instacart.fct_orders order by all") == before
    # As in a warehouse from before there was a ledger.
    with contextlib.closing(duckdb.connect(str(dbt.warehouse))) as connection:
        connection.execute("drop table audit.processed_files; delete from instacart.orders")
    tested = dbt("test", "--select", "users")
    assert tested.ok, tested.output
    build(dbt, loaded)
    assert dbt.query("select * from instacart.fct_orders order by all") == before


# With all that the tests of the orders look at.
ORDERS = ("--exclude-resource-type", "unit_test", "--select", "orders", "users", "int_users_damaged")


@pytest.fixture
def tested(built_dbt, data):
    """Whole histories of some users, built and tested, and one later order of another user with no gap."""
    others = {line.split(",")[0] for line in data.lines("orders") if line.split(",")[1] in ("1", "2")}
    data.held_back = hold_back(data, lambda order_id: str(order_id) in others)
    dbt = built_dbt
    outcome = dbt(*MODELS, *INSTACART, "--full-refresh", data=data)
    assert outcome.ok, outcome.output
    outcome = dbt("test", *ORDERS, data=data)
    assert " WARN=0 ERROR=0 " in outcome.output, outcome.output
    orders = sorted(data.held_back["orders"], key=lambda line: int(line.split(",")[3]))
    data.without_gap = [orders[0], orders[2].rsplit(",", 1)[0] + ","]
    return data


def test_data_tests_look_at_what_has_not_been_tested(dbt, tested):
    """`dbt build` tests new rows until their tests pass, `dbt test` and a full refresh test all."""
    with contextlib.closing(duckdb.connect(str(dbt.warehouse))) as connection:
        # An old row, which no test of new rows looks at.
        connection.execute(
            "update instacart.orders set order_dow = 7 where order_id = (select min(order_id) from instacart.orders)"
        )
    again = dbt("build", *ORDERS, data=tested)
    assert again.ok, again.output
    everything = dbt("test", *ORDERS, data=tested)
    assert not everything.ok
    assert "orders_has_valid_values: order_dow is above 6 in 1 row" in everything.output
    refreshed = dbt("build", *ORDERS, "--full-refresh", data=tested)
    assert refreshed.ok, refreshed.output
    # A fault in new rows is found, and found again by a build without further rows.
    deliver(tested, "orders", "later.csv", tested.without_gap)
    build(dbt, tested)
    for _ in range(2):
        faulty = dbt("build", *ORDERS, "--vars", "{complete_histories: true}", data=tested)
        assert not faulty.ok
        assert "FAIL 1 assert_gap_is_null_exactly_on_first_orders" in faulty.output


def test_a_warning_is_given_until_its_cause_is_gone(dbt, tested):
    deliver(tested, "orders", "later.csv", tested.without_gap)
    build(dbt, tested)
    for _ in range(2):
        warned = dbt("build", *ORDERS, data=tested)
        assert warned.ok, warned.output
        assert "WARN 1 assert_gap_is_null_exactly_on_first_orders" in warned.output
    # A test of no rows is none.
    empty = dbt("build", "--resource-type", "test", "--empty", *ORDERS[2:], data=tested)
    assert empty.ok, empty.output
    assert " WARN=0 " in empty.output
    assert count(dbt, "audit.processed_files", "tested_at is null and model_name = 'orders'") == 1


def test_staging_by_itself_leaves_no_stale_rows_below(dbt, loaded, tmp_path):
    """What a model has read from staging that was ahead of the models between is judged again by the next build."""
    deliver(loaded, "orders", "later.csv", loaded.held_back["orders"])
    ahead = dbt("run", "--select", "stg_instacart__orders", data=loaded)
    assert ahead.ok, ahead.output
    for table in TABLES[1:]:
        deliver(loaded, table, "later.csv", loaded.held_back[table])
    lines = dbt("run", "--select", "+order_products", "--exclude", "int_orders_rejected", "orders", data=loaded)
    assert lines.ok, lines.output
    below = dbt("run", "--select", "orders", "fct_orders", "--full-refresh", data=loaded)
    assert below.ok, below.output
    assert processed(dbt) == processed(dbt, "orders") == set()
    (loaded / "orders" / "later.csv").unlink()
    build(dbt, loaded)
    assert_equals_full_refresh(dbt, loaded, tmp_path)
