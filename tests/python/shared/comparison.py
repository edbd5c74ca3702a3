"""Compares the tables of two warehouses row by row."""

import contextlib
from pathlib import Path

import duckdb


def relations_in(warehouse: Path) -> list[str]:
    query = (
        "select table_schema || '.' || table_name from information_schema.tables"
        " where table_schema in ('staging', 'intermediate', 'instacart', 'online_retail', 'reference', 'audit')"
        " and table_name <> 'processed_files'"  # it tells when, which two builds never share
        " order by all"
    )
    with contextlib.closing(duckdb.connect(str(warehouse), read_only=True)) as connection:
        return [name for (name,) in connection.execute(query).fetchall()]


def relations(dbt) -> list[str]:
    return relations_in(dbt.warehouse)


def differences(dbt, names: list[str], undisturbed) -> dict[str, int]:
    """The number of rows that are in only one of the two warehouses, by relation."""
    with contextlib.closing(duckdb.connect(str(dbt.warehouse), read_only=True)) as connection:
        connection.execute(f"attach '{undisturbed}' as undisturbed (read_only)")
        found = {}
        for name in names:
            [(count,)] = connection.execute(
                f"select count(*) from ((from {name} except all from undisturbed.{name})"
                f" union all (from undisturbed.{name} except all from {name}))"
            ).fetchall()
            if count:
                found[name] = count
        return found


def manifest_of(*names, **overrides):
    config = {"enabled": True, "materialized": "table"}
    return {
        "nodes": {
            name: {"resource_type": "model", "schema": "compared", "alias": name, "config": config} | overrides
            for name in names
        }
    }
