"""The whole project through the real dbt-redshift and its driver, on the stand-in, compared with DuckDB row by row."""

import base64
import contextlib
import json
import os
import re
from pathlib import Path

import duckdb
import pytest
import redshift_sequence
from conftest import PROJECT, WITH_ARTIFACTS, Dbt
from redshift_stand_in import INSTALL, StandIn, find_postgres
from redshift_stand_in.compare import compare
from shared.aws_fixtures import Deployed
from shared.production import BUCKET, Production

from retail_warehouse.dashboard import page, source
from retail_warehouse.errors import DataError
from retail_warehouse.serving import publish, publish_predictions
from retail_warehouse.serving.dynamodb_store import DynamoDbStore
from retail_warehouse.serving.predictions_dynamodb import DynamoDbPredictions
from retail_warehouse.serving.predictions_store import SqlitePredictions
from retail_warehouse.serving.shop_statistics import Shop
from retail_warehouse.serving.sqlite_store import SqliteStore

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        find_postgres() is None and not os.environ.get("REDSHIFT_STAND_IN_REQUIRED"),
        reason=f"THE REDSHIFT TARGET IS NOT TESTED: {INSTALL}",
    ),
]
# Enough of Instacart's for rows of every kind in every relation; the columns are many.
_USERS = 120
READER = "role:analysts"
STREAMED_LATER = "{},é1234,Ångström,{},12/9/2011 12:56,0.001,17850,United Kingdom"
STREAMED_LEDGER = """
    select file_name, model_name, processed_at from audit.processed_files
    where table_name = 'streamed_lines' and model_name in ('stg_online_retail__streamed_lines', 'invoice_lines')
    order by file_name, model_name
"""
USERS = "select user_id from features.ftr_targets where orders_back = 0"


@pytest.fixture(scope="module")
def production(tmp_path_factory, start_emulator, deploying):
    """Two deliveries: the first loaded and built command by command, the second by runs, of which one was killed."""
    folder = tmp_path_factory.mktemp("redshift")
    (folder / "profiles.yml").write_text((PROJECT / "profiles.yml.example").read_text())
    deployed = Deployed(start_emulator(), [])
    deploying(deployed.aws, deployed.said, bucket=BUCKET).deploy()
    # COPY and UNLOAD work under a role of their own.
    copy_role = deployed.environment("retail-warehouse-batch")["REDSHIFT_IAM_ROLE"]
    s3 = deployed.aws.client("s3", **deployed.aws.as_role(copy_role))
    with StandIn(folder / "stand_in", log=folder / "statements.jsonl", s3_client=s3) as stand_in:
        stand_in.create_role("analysts")
        production = Production(stand_in, Dbt(folder), deployed)
        deliveries = redshift_sequence.deliveries(folder / "data", users=_USERS)
        production.put_delivery(deliveries["first"])
        production.load_first(deliveries["first"])
        production.put_delivery(deliveries["second"])
        production.put(Path(deliveries["second"]["ONLINE_RETAIL_LANDING"]), "streamed")
        production.kill("nightly", "load_instacart: done")
        for what in ("nightly", "train", "nightly"):
            production.run(what)
        redshift_sequence.run(production, [redshift_sequence.LAST_UNIT_TESTS])
        production.data = deliveries["second"] | {"PREDICTIONS_DATA": str(folder / "runs/predictions")}
        yield production


@pytest.fixture(scope="module")
def on_duckdb(production, tmp_path_factory):
    """The second delivery, built on DuckDB at once."""
    folder = tmp_path_factory.mktemp("duckdb")
    (folder / "profiles.yml").write_text((PROJECT / "profiles.yml.example").read_text())
    dbt = Dbt(folder)
    export = {"PARQUET_EXPORT": str(folder / "exports"), **WITH_ARTIFACTS}
    outcome = dbt.build(*redshift_sequence.EVERYTHING, **production.data, **export)
    assert outcome.ok, outcome.output
    exported = dbt("run-operation", "export_parquet", **production.data, **export)
    assert exported.ok, exported.output
    return dbt


def test_runs_did_what_was_to_be_done_and_no_more(production):
    nightly, train, again = (one for one in production.summaries if one["code"] != 3)
    for summary in (nightly, train):
        assert (summary["code"], summary["status"]) == (0, "succeeded"), summary["output"]
    steps = {name: step["status"] for name, step in nightly["steps"].items()}
    # What was done before it was killed is not done again.
    assert steps.pop("land_instacart") == steps.pop("load_instacart") == "unchanged"
    assert set(steps.values()) == {"done"}
    assert list(steps) == [
        *("land_online_retail", "load_online_retail", "build", "publish_lines", "export"),
        *("merge_streamed", "docs", "dashboard"),
    ]
    assert list(train["steps"]) == [
        *("features", "train", "predict", "load_predictions", "build_predictions", "publish_predictions"),
    ]
    assert {step["status"] for step in train["steps"].values()} == {"done"}
    # With predictions now, and nothing that is new.
    assert (again["code"], again["status"]) == (0, "skipped"), again["output"]
    assert {"predict", "publish_predictions", "build"} < set(again["steps"])
    assert {step["status"] for step in again["steps"].values()} == {"unchanged"}


def test_the_site_is_in_the_bucket(production):
    pages = {name: production.bucket.read(f"site/{name}")[0].decode() for name in ("index.html", "lineage.html")}
    assert "rpt_monthly_totals" in pages["index.html"]
    assert '<style id="retail-warehouse">' in pages["index.html"]
    [packed] = re.findall(r'atob\("([^"]+)"\)', pages["lineage.html"])
    edges = json.loads(base64.b64decode(packed))["lineage"]["edges"]
    assert any(
        edge["target"].endswith(".rpt_monthly_totals") and edge["targetColumn"] == "net_amount" for edge in edges
    )
    assert "target prod" in production.bucket.read("site/dashboard.html")[0].decode()
    assert production.s3.head_object(Bucket=production.bucket.name, Key="site/index.html")["ContentType"] == "text/html"


@pytest.fixture
def here(production, on_duckdb, monkeypatch):
    """The settings of both warehouses in this process."""
    for name, value in production.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("DBT_PROFILES_DIR", str(production.folder))
    monkeypatch.setenv("WAREHOUSE_PATH", str(on_duckdb.warehouse))
    monkeypatch.chdir(PROJECT)


def looked_up(store, pairs) -> list:
    return [line for invoice_no, stock_code in pairs for line in store.lines(invoice_no, stock_code)]


def test_published_transactions_are_those_of_duckdb(production, here, on_duckdb, monkeypatch, tmp_path):
    monkeypatch.setattr(publish, "_LARGE_PART", 1_000)
    pairs = on_duckdb.query("select distinct invoice_no, stock_code from online_retail.invoice_lines order by all")
    of_files, names, lines = [], [], []
    for target in ("prod", None):
        with contextlib.closing(SqliteStore(tmp_path / f"{target}.sqlite")) as store:
            of_files.append(publish.publish_deliveries(store, target=target))
            assert publish.publish_deliveries(store, target=target) == 0
            names.append({name: delivery.last_row for name, delivery in store.deliveries().items()})
            of_those = looked_up(store, pairs)
            publish.publish(store, only=False, target=target)
            lines.append((of_those, looked_up(store, pairs)))
    assert of_files[0] == of_files[1] > 4_000
    assert names[0] == names[1]
    assert set(names[0]) == {"data.csv", "later.csv"}
    assert lines[0] == lines[1]
    assert len(lines[0][0]) < len(lines[0][1]), "those that were streamed come with all of the warehouse"
    # And so it stands where the API of the run looks.
    last = pairs[-20:]
    wanted = [line for line in lines[0][0] if (line.invoice_no, line.stock_code) in last]
    with contextlib.closing(DynamoDbStore("retail-lines", production.dynamodb)) as store:
        assert looked_up(store, last) == wanted
        assert {name: delivery.last_row for name, delivery in store.deliveries().items()} == names[0]


def test_published_predictions_are_those_of_duckdb(production, here, on_duckdb, tmp_path):
    features, models = production.folder / "runs/features", production.folder / "runs/models"
    unloaded = publish_predictions.Unloaded(str(features), production.data["PREDICTIONS_DATA"])
    generations = []
    for name, warehouse in (("redshift", unloaded), ("duckdb", on_duckdb.warehouse)):
        store = SqlitePredictions(tmp_path / f"{name}.sqlite")
        publish_predictions.publish(store, warehouse, models)
        generations.append(store.open())
    generations.append(DynamoDbPredictions("retail-lines-predictions", production.dynamodb).open())
    of_redshift, of_duckdb, of_run = generations
    users = [user for (user,) in on_duckdb.query(USERS)]
    assert Shop(of_redshift.statistics()).users == len(users) > 100
    assert of_redshift.statistics() == of_duckdb.statistics() == of_run.statistics()
    for user in users:
        assert of_redshift.user(user) == of_duckdb.user(user) is not None
    assert [of_run.user(user) for user in users[:9]] == [of_redshift.user(user) for user in users[:9]]
    elsewhere = publish_predictions.Unloaded(str(features), str(tmp_path))
    with pytest.raises(DataError, match=r"There is no .*/predicted_reorders[.]parquet[.] Unload the features"):
        publish_predictions.publish(store, elsewhere, models)


def test_the_second_delivery_was_built_incrementally(production):
    processed = dict(
        production.stand_in.query(
            "select file_name, processed_at from audit.processed_files where model_name = 'stg_instacart__orders'"
        )
    )
    assert processed["orders.csv"] < processed["orders/later.csv"]


def test_every_relation_equals_that_of_duckdb(production, on_duckdb, record_property):
    comparison = compare(on_duckdb.target / "manifest.json", on_duckdb.warehouse, production.stand_in)
    assert comparison.differences == {}
    assert comparison.compared == comparison.expected > 0
    # As many as the manifest has, counted here once more.
    nodes = production.manifest["nodes"].values()
    assert comparison.expected == sum(node["resource_type"] in ("model", "seed") for node in nodes)
    # Nothing is compared that is empty on both sides, but what has no rows by its nature.
    reasons = dict(on_duckdb.query("select reason, count(*) from audit.rejected_rows group by reason"))
    assert set(reasons) == {
        *("wrong_field_count", "broken_quote", "unreadable_value", "missing_key", "duplicate_key", "missing_parent"),
        "out_of_domain",
    }
    record_property("told", f"{comparison.compared} relations on the Redshift stand-in equal DuckDB's, row by row")


def test_nothing_was_refused_or_left_out(production):
    counts = production.stand_in.counts
    assert counts.statements > 0
    assert counts.refused == counts.not_emulated == 0


def test_values_fit_as_redshift_counts_them(production):
    # Raw values are as in the file; staging trims.
    blanks = {name for name in production.stand_in.trailing_blanks() if not name.startswith("raw_")}
    assert blanks == set()
    assert production.stand_in.overlong_values() == {}


def test_the_parquet_export_equals_that_of_duckdb(production, on_duckdb):
    for fact in redshift_sequence.FACTS:
        unloaded = production.stand_in.s3 / "bucket" / "exports" / "prod" / fact
        assert redshift_sequence.export_difference(f"{on_duckdb.folder}/exports/dev/{fact}", str(unloaded)) is None
        # One file less is noticed.
        next(unloaded.glob("*/*.parquet")).unlink()
        told = redshift_sequence.export_difference(f"{on_duckdb.folder}/exports/dev/{fact}", str(unloaded))
        assert "rows differ, such as (" in told


def test_unloaded_features_equal_those_of_duckdb(production, on_duckdb):
    """Training reads either."""
    folder = production.stand_in.s3 / "bucket" / "features"
    nodes = production.manifest["nodes"].values()
    models = [node for node in nodes if node["resource_type"] == "model" and node["fqn"][1] == "features"]
    names = [node["name"] for node in models if node["name"].startswith("ftr_")]
    assert sorted((*names, "aisles", "products")) == sorted(path.name for path in folder.iterdir())
    with duckdb.connect(str(on_duckdb.warehouse), read_only=True) as connection:
        for name in names:
            ours, theirs = f"from features.{name}", f"from read_parquet('{folder}/{name}/*.parquet')"
            described = [
                [(row[0], row[1].partition("(")[0]) for row in connection.execute(f"describe {query}").fetchall()]
                for query in (ours, theirs)
            ]
            assert described[0] == described[1]
            rows = connection.execute(f"({ours} except all {theirs}) union all ({theirs} except all {ours})").fetchall()
            assert rows == [], name
    for location, told in (("/features", "Redshift unloads to S3 only"), ("s3://", "Redshift unloads to S3 only")):
        outcome = production(
            "run-operation", "unload_features", "--target", "prod", "--args", f"{{location: '{location}'}}"
        )
        assert not outcome.ok
        assert told in outcome.output
    here = on_duckdb("run-operation", "unload_features", "--args", "{location: s3://bucket/features}")
    assert not here.ok
    assert "unload_features unloads from Amazon Redshift: add --target prod." in here.output


def test_the_dashboard_shows_what_it_shows_on_duckdb(here):
    theirs, ours = source.read("prod"), source.read()
    assert theirs.missing == ours.missing == []
    assert theirs.origin == "target prod"
    del theirs.rows["builds"], ours.rows["builds"]  # when each was built
    assert theirs.rows == ours.rows
    assert all(ours.rows.values())
    assert page.content_digest(theirs) == page.content_digest(ours)


def load(production, **arguments):
    return production("run-operation", "load_raw", "--target", "prod", "--args", json.dumps(arguments))


def raw(production) -> dict[str, int]:
    names = (
        "aisles",
        "departments",
        "products",
        "orders",
        "order_products__prior",
        "order_products__train",
        "data_files",
    )
    return {name: production.stand_in.query(f"select count(*) from raw_instacart.{name}")[0][0] for name in names}


def test_a_load_is_repeatable_and_a_failed_one_leaves_the_old_rows(production):
    before = raw(production)
    assert all(before.values())
    here = {"source": "instacart", "location": "s3://bucket/redshift_load/instacart/"}
    # Not by the role of the environment, but by that of the cluster.
    again = load(production, **here, iam_role="default")
    assert again.ok, again.output
    assert raw(production) == before
    printed = load(production, **here, iam_role="arn:aws:iam::123456789012:role/loader", dry_run=True)
    assert printed.ok, printed.output
    for text in (
        "begin;",
        "delete from ",
        "iam_role 'arn:aws:iam::123456789012:role/loader'",
        "format as parquet;",
        "commit;",
    ):
        assert text in printed.output
    # The last of the tables in turn is missing.
    products = "redshift_load/instacart/products.parquet"
    content, etag, _ = production.bucket.read(products)
    production.bucket.delete(products, etag)
    try:
        failed = load(production, **here)
        assert not failed.ok
        assert "products" in failed.output
        assert raw(production) == before
    finally:
        production.bucket.write(products, content)


def test_wrong_arguments_of_a_load_are_told(production, dbt):
    folder = load(production, source="instacart", location="/landing")
    assert not folder.ok
    assert "location must be a prefix such as s3://" in folder.output
    for argument, wrong, told in (
        ("location", "s3://", "location must be a prefix"),
        ("location", 5, "location must be a prefix"),
        ("iam_role", "Default", "must be the ARN of a role"),
        ("dry_run", "no", "dry_run must be true or false"),
        ("tables", ["orders", "ordres"], "The source instacart has no raw table ordres; it has aisles, "),
    ):
        arguments = {"source": "instacart", "location": "s3://bucket/redshift_load", argument: wrong}
        outcome = load(production, **arguments)
        assert not outcome.ok
        assert told in outcome.output
    source = load(production, source="instacrat", location="s3://bucket/redshift_load")
    assert not source.ok
    assert "There is no source instacrat of raw files; there are instacart, online_retail, predictions" in source.output
    here = dbt("run-operation", "load_raw", "--args", "{source: instacart, location: s3://bucket/redshift_load}")
    assert not here.ok
    assert "load_raw loads Amazon Redshift: add --target prod." in here.output


def test_distribution_sort_keys_and_late_binding(production):
    tables = {
        f"{schema}.{name}": (style, key)
        for schema, name, style, key in production.stand_in.query(
            'select "schema", "table", diststyle, sortkey1 from svv_table_info'
        )
    }
    models = [node for node in production.manifest["nodes"].values() if node["resource_type"] == "model"]
    layers = ("marts", "reports", "features", "predictions")
    published = [node for node in models if node["fqn"][1] in layers and node["config"]["materialized"] != "view"]
    for node in published:
        style, key = tables[f"{node['schema']}.{node['name']}"]
        dist, sort = node["config"]["dist"], node["config"]["sort"]
        assert style == (dist.upper() if dist in ("all", "even") else f"KEY({dist})")
        assert key == sort[0]
    assert len(published) >= 30
    views = {node["name"] for node in models if node["config"]["materialized"] == "view"}
    late_binding = {name for (name,) in production.stand_in.query("select relname from rs.columns where late_binding")}
    assert views == late_binding


def test_the_reader_may_read_marts_and_no_more(production):
    built = production("run", "--target", "prod", "--select", "users", "--vars", f"{{reader: '{READER}'}}")
    assert built.ok, built.output
    granted = (
        "select has_table_privilege('analysts', '{}', 'select') and has_schema_privilege('analysts', '{}', 'usage')"
    )
    assert production.stand_in.query(granted.format("instacart.users", "instacart")) == [(True,)]
    audited = production("run", "--target", "prod", "--select", "rejected_rows", "--vars", f"{{reader: '{READER}'}}")
    assert audited.ok, audited.output
    assert production.stand_in.query(granted.format("audit.processed_files", "audit")) == [(True,)]
    assert production.stand_in.query(granted.format("staging.stg_instacart__orders", "staging")) == [(False,)]


def test_queries_can_be_told_by_their_group(production):
    statements = [json.loads(line)["redshift"] for line in (production.folder / "statements.jsonl").open()]
    assert "SET query_group TO 'retail_warehouse'" in statements
    assert any('"node_id": "model.retail_warehouse.orders"' in statement for statement in statements)


FAULTS = {
    # On Redshift the average of integers is an integer.
    "average": "select avg(n) as n from {{ ref('numbers') }}",
    # On Redshift it is null if any part is.
    "joined": "select concat(word, 'x') as word from {{ ref('numbers') }}",
    "running": "select n, sum(n) over (order by n) as total from {{ ref('numbers') }}",
    "reserved": "select n as tag from {{ ref('numbers') }}",
}
NUMBERS = """
select 1 as n, cast('a' as varchar(5)) as word union all
select 2 as n, cast(null as varchar(5)) as word union all
select 4 as n, cast('a ' as varchar(5)) as word
"""


def test_the_comparison_notices_what_redshift_computes_otherwise(production, dbt, tmp_path):
    (tmp_path / "dbt_project.yml").write_text(
        "{name: planted, version: 1.0.0, profile: retail_warehouse, models: {+materialized: table}}"
    )
    (tmp_path / "models").mkdir()
    for name, sql in {**FAULTS, "numbers": NUMBERS, "sound": "select n from {{ ref('numbers') }}"}.items():
        (tmp_path / "models" / f"{name}.sql").write_text(sql)
    environment = {"DBT_TARGET_PATH": str(tmp_path / "target"), **WITH_ARTIFACTS}
    here = dbt("run", project=tmp_path, **environment)
    assert here.ok, here.output
    there = production("run", "--target", "prod", project=tmp_path, **environment)
    assert not there.ok
    assert "[redshift: window_frame]" in there.output
    assert "[redshift: reserved_word]" in there.output
    comparison = compare(tmp_path / "target" / "manifest.json", dbt.warehouse, production.stand_in)
    assert set(comparison.differences) == {f"main.{name}" for name in FAULTS}
    assert comparison.differences["main.running"] == comparison.differences["main.reserved"] == "missing on Redshift"
    assert comparison.expected == len(FAULTS) + 2
    assert "main.numbers.word" in production.stand_in.trailing_blanks()
    production.stand_in.query("drop table main.numbers, main.sound, main.average, main.joined")


def test_micro_batches_load_and_build_what_has_streamed_in_and_merge_many_files(production):
    """The last test of this module: it changes the warehouse."""
    raw_files = "select xmin::text, count(*) from raw_online_retail.invoice_lines group by 1"
    lines = "select * from online_retail.invoice_lines order by invoice_line_id"
    before = production.stand_in.query(raw_files)
    for number in range(256):
        event = {
            "event_id": f"till-9:{number + 2}",
            "landing_position": 1,
            "line": STREAMED_LATER.format(700_000 + number, number + 1),
        }
        name = f"20261120T{number:012d}-1-ab.ndjson"
        production.bucket.write(f"streamed/day=2026-11-20/{name}", json.dumps(event).encode() + b"\n")
    done = production.run("micro-batch")
    assert (done["code"], done["status"]) == (0, "succeeded"), done["output"]
    steps = ("land_streamed", "load_streamed", "build_streamed", "publish_lines", "merge_streamed")
    assert {name: step["status"] for name, step in done["steps"].items()} == dict.fromkeys(steps, "done")
    assert done["steps"]["merge_streamed"]["told"] == "256 landed files merged into 8"
    found = production.stand_in.query(
        "select count(*), min(invoice_no), sum(quantity) from online_retail.invoice_lines where file_name = 'till-9'"
    )
    assert found == [(256, "700000", sum(range(1, 257)))]
    assert production.stand_in.query(raw_files) == before, "what was loaded from files is left alone"
    # The merged files stand in the ledger for what was built, and nothing is built anew for them.
    assert len(production.bucket.files("streamed/day=2026-11-20")) == 8
    built, ledger = production.stand_in.query(lines), production.stand_in.query(STREAMED_LEDGER)
    assert sum(".merged-1." in name for name, *_ in ledger) == 8 * len({model for _, model, _ in ledger})
    done = production.run("micro-batch")
    assert (done["code"], done["status"]) == (0, "succeeded"), done["output"]
    assert production.stand_in.query(STREAMED_LEDGER) == ledger
    assert production.stand_in.query(lines) == built
    again = production.run("micro-batch")
    assert (again["code"], again["status"]) == (0, "skipped"), again["output"]
