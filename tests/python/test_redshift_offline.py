"""What can be checked of the Redshift target without a server."""

import re

import pytest
from conftest import PROJECT

# A port on which nobody listens: a command that connects fails.
REDSHIFT = {
    "REDSHIFT_HOST": "127.0.0.1",
    "REDSHIFT_PORT": "9",
    "REDSHIFT_DATABASE": "d",
    "REDSHIFT_USER": "u",
    "REDSHIFT_PASSWORD": "p",
    "REDSHIFT_SCHEMA": "s",
}


def test_strict_parse(dbt):
    """dbt checks YAML keys for Redshift only, not for DuckDB; deprecations are errors by dbt_project.yml."""
    outcome = dbt("parse", "--target", "prod", "--no-partial-parse", "--show-all-deprecations", **REDSHIFT)
    assert outcome.ok, outcome.output
    assert "WARNING" not in outcome.output, outcome.output


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
        "with_parquet_export",
        "--vars",
        f"{{assume_incremental: {incremental}}}",
        **REDSHIFT,
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


# dbt looks at the password when it connects, not before.
@pytest.mark.parametrize("missing", sorted(set(REDSHIFT) - {"REDSHIFT_PASSWORD"}))
def test_a_missing_setting_is_named(dbt, missing):
    outcome = dbt("parse", "--target", "prod", **{name: value for name, value in REDSHIFT.items() if name != missing})
    assert not outcome.ok
    assert re.search(rf"Env var required but not provided: '{missing}'", outcome.output), outcome.output
