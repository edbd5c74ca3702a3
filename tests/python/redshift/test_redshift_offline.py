"""What can be checked of the Redshift target without a server."""

import datetime
import json
import re
import shutil
from pathlib import Path

import pytest
import redshift_gate
from conftest import PROJECT, WITH_ARTIFACTS
from shared.no_redshift import REDSHIFT


def test_strict_parse(dbt):
    """dbt checks YAML keys for Redshift only, not for DuckDB; deprecations are errors by dbt_project.yml."""
    outcome = dbt("parse", "--target", "prod", "--no-partial-parse", "--show-all-deprecations", **REDSHIFT)
    assert outcome.ok, outcome.output
    assert "WARNING" not in outcome.output, outcome.output


@pytest.mark.slow
@pytest.mark.parametrize("incremental", ["false", "true"])
def test_every_model_compiles_offline(dbt, incremental):
    """Both branches of the incremental models."""
    target = dbt.folder / f"redshift_{incremental}"
    outcome = dbt(
        "compile",
        "--target",
        "prod",
        "--no-introspect",
        "--no-populate-cache",
        "--target-path",
        str(target),
        "--selector",
        "everything",
        "--vars",
        f"{{assume_incremental: {incremental}}}",
        **REDSHIFT,
        **WITH_ARTIFACTS,
    )
    assert outcome.ok, outcome.output
    compiled = {path.stem for path in (target / "compiled").rglob("models/**/*.sql")}
    assert compiled >= {path.stem for path in (PROJECT / "models").rglob("*.sql")}
    sql = (target / "compiled/retail_warehouse/models/staging/instacart/stg_instacart__orders.sql").read_text()
    assert "order_id_text ~ '^[+-]?[0-9]+([.]0+)?$'" in sql
    assert "cast(try_cast(" not in sql, "the DuckDB branch was rendered"
    assert ("where file_name in (select file_name from" in sql) == (incremental == "true")
    sql = (target / "compiled/retail_warehouse/models/marts/instacart/order_products.sql").read_text()
    assert ("where order_id in (with files as" in sql) == (incremental == "true")
    if incremental == "true":
        models = json.loads((target / "manifest.json").read_text())["nodes"]
        asked = {}
        for id_, node in models.items():
            names = re.findall(
                r"from \S*processed_files\S*\s+where model_name in \('(.*?)'\)", node.get("compiled_code") or ""
            )
            if id_.startswith("model.") and names:
                asked[node["name"]] = {frozenset(found.split("', '")) for found in names}
        assert asked == {name: {right_above(name, models)} for name in asked}
        # Through views, past the gate, and of several.
        assert asked["orders"] == {frozenset({"int_order_products_rejected"})}
        assert asked["invoice_lines"] == {frozenset({"int_invoice_files_doubted"})}
        assert len(*asked["int_order_products_rejected"]) == 4


def right_above(name: str, nodes: dict) -> frozenset[str]:
    """The nearest models above one that have an entry in the ledger, but those above one another: a file is ready for
    the model when all of these have processed it."""
    parents = {id_: [up for up in node["depends_on"].get("nodes", []) if up in nodes] for id_, node in nodes.items()}

    def above(id_: str) -> set[str]:
        return set(parents[id_]).union(*(above(parent) for parent in parents[id_]))

    walk, nearest = list(parents[f"model.retail_warehouse.{name}"]), set()
    for id_ in walk:
        if "processed_by" in nodes[id_]["config"]["meta"]:
            nearest.add(id_)
        else:
            walk += parents[id_]
    return frozenset(nodes[id_]["name"] for id_ in nearest if not any(id_ in above(other) for other in nearest))


@pytest.mark.parametrize("missing", sorted(REDSHIFT))
def test_a_missing_setting_is_named(dbt, missing):
    outcome = dbt("parse", "--target", "prod", **{name: value for name, value in REDSHIFT.items() if name != missing})
    assert not outcome.ok
    assert re.search(rf"Env var required but not provided: '{missing}'", outcome.output), outcome.output


def stops_because_of(dbt, reader: str, model: str, **project: Path) -> None:
    outcome = dbt("run", "--select", model, "--vars", f"{{reader: {reader}}}", **project)
    assert not outcome.ok
    assert "The var reader must be role:<name>, group:<name> or the name of a user" in outcome.output
    assert "table model" not in outcome.output


def test_a_reader_that_is_nobody_is_told_before_anything_is_built(dbt):
    stops_because_of(dbt, "role:a b", "aisles")


@pytest.fixture
def little_project(tmp_path) -> Path:
    """A model, and the check of the reader as in the project, which takes long to parse for every reader."""
    lines = ["name: retail_warehouse", "version: 1.0.0", "profile: retail_warehouse", "vars: {reader: null}"]
    lines += ["models: {+materialized: table}", 'on-run-start: "{{ check_reader() }}"']
    (tmp_path / "dbt_project.yml").write_text("\n".join(lines) + "\n")
    for name in ("check_reader", "reader_grantees"):
        (tmp_path / "macros").mkdir(exist_ok=True)
        shutil.copy(PROJECT / f"macros/access/{name}.sql", tmp_path / "macros")
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "one.sql").write_text("select 1 as n")
    return tmp_path


def test_every_other_reader_that_is_nobody_is_told(dbt, little_project):
    for reader in ("[analysts]", "'role:'", "it''s"):
        stops_because_of(dbt, reader, "one", project=little_project)
    outcome = dbt("run", "--vars", "{reader: 'role:analysts'}", project=little_project)
    assert outcome.ok, outcome.output
    assert "table model" in outcome.output


def test_a_role_logs_in_without_a_password(dbt):
    environment = {name: value for name, value in REDSHIFT.items() if name != "REDSHIFT_PASSWORD"}
    role = {"REDSHIFT_METHOD": "iam_role", "REDSHIFT_CLUSTER_ID": "c", "REDSHIFT_REGION": "eu-west-1"}
    outcome = dbt("debug", "--target", "prod", **environment, **role)
    assert "method: iam_role" in outcome.output, outcome.output
    assert "cluster_id: c" in outcome.output
    assert "query_group: retail_warehouse" in outcome.output
    assert "Env var required" not in outcome.output


def test_the_readme_names_the_last_run_on_a_real_cluster(tmp_path):
    runs, readme = tmp_path / "runs.md", tmp_path / "README.md"
    runs.write_text(redshift_gate.RUNS.read_text())
    readme.write_text(redshift_gate.README.read_text())
    passed = [line for line in runs.read_text().splitlines() if re.search(r"\b(\d+) of \1 relations equal", line)]
    last = passed[-1].split("|")[1].strip() if passed else "never"
    assert f"Last run on a real cluster: {last}." in readme.read_text()
    date = datetime.date(2027, 2, 3)
    redshift_gate.record(date, "Redshift 1.0", "47 of 48 relations equal", False, runs, readme)
    assert f"Last run on a real cluster: {last}." in readme.read_text()
    redshift_gate.record(date, "Redshift 1.0", "48 of 48 relations equal", True, runs, readme)
    assert "Last run on a real cluster: 2027-02-03." in readme.read_text()
    assert runs.read_text().splitlines()[-2:] == [
        "| 2027-02-03 | Redshift 1.0 | 47 of 48 relations equal |",
        "| 2027-02-03 | Redshift 1.0 | 48 of 48 relations equal |",
    ]


def test_a_developer_has_schemas_of_their_own(dbt):
    environment = {**REDSHIFT, "REDSHIFT_SCHEMA": "dbt_alice", **WITH_ARTIFACTS}
    outcome = dbt("parse", "--target", "redshift_dev", **environment)
    assert outcome.ok, outcome.output
    manifest = json.loads((dbt.target / "manifest.json").read_text())
    schemas = {node["schema"] for node in manifest["nodes"].values() if node["resource_type"] in ("model", "seed")}
    assert {"dbt_alice_instacart", "dbt_alice_audit"} <= schemas
    assert all(schema.startswith("dbt_alice_") for schema in schemas)
    tables = {source["name"]: source["schema"] for source in manifest["sources"].values()}
    assert tables["processed_files"] == "dbt_alice_audit"
    # Loaded once, read by all.
    assert tables["orders"] == "raw_instacart"
