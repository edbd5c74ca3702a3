"""Every dbt unit test fails when a fault is planted in the calculation that it guards."""

import json
import re
import shutil

from conftest import PROJECT

# For each unit test the file with the calculation, what stands there, and the fault.
FAULTS = {
    "stg_aisles_casts_and_judges_rows": (
        "models/staging/instacart/stg_instacart__aisles.sql",
        "'keys': ['aisle_id']",
        "'keys': []",
    ),
    "stg_departments_casts_and_judges_rows": (
        "models/staging/instacart/stg_instacart__departments.sql",
        "safe_integer('department_id_text')",
        "safe_integer('department_id_text', 'bigint') }} + {{ 1",
    ),
    "stg_products_casts_and_judges_rows": (
        "models/staging/instacart/stg_instacart__products.sql",
        "'integers': ['product_id', 'aisle_id', 'department_id']",
        "'integers': ['product_id']",
    ),
    "stg_orders_casts_values": (
        "macros/staging/official_order_record.sql",
        "lpad(cast(order_hour_of_day as varchar), 2, '0')",
        "cast(order_hour_of_day as varchar)",
    ),
    "stg_orders_judges_rows": (
        "models/staging/instacart/stg_instacart__orders.sql",
        "days_since_prior_order between 0 and 30",
        "days_since_prior_order between 0 and 31",
    ),
    "stg_order_products_prior_casts_and_judges_rows": (
        "macros/staging/instacart_order_products.sql",
        "add_to_cart_order >= 1",
        "add_to_cart_order >= 0",
    ),
    "stg_order_products_train_casts_and_judges_rows": (
        "macros/staging/instacart_order_products.sql",
        "reordered in (0, 1)",
        "reordered in (0, 1, 2)",
    ),
    "int_aisles_rejected_keeps_first_of_duplicates": (
        "macros/intermediate/later_duplicates.sql",
        "order by {{ rows }}.file_name, {{ rows }}.row_number",
        "order by {{ rows }}.row_number",
    ),
    "int_departments_rejected_keeps_first_of_duplicates": (
        "models/intermediate/instacart/int_departments_rejected.sql",
        "where {{ readable_with_key() }}",
        "where true",
    ),
    "int_products_rejected_names_the_first_reason": (
        "models/intermediate/instacart/int_products_rejected.sql",
        "or departments.department_id is null",
        "",
    ),
    "int_orders_rejected_names_the_first_reason": (
        "models/intermediate/instacart/int_orders_rejected.sql",
        "coalesce(orders.raw_record, {{ official_order_record() }})",
        "orders.raw_record",
    ),
    "int_order_products_rejected_names_the_first_reason": (
        "models/intermediate/instacart/int_order_products_rejected.sql",
        "later_duplicates('candidates', ['order_id', 'product_id'])",
        "later_duplicates('candidates', ['order_id'])",
    ),
    "int_orders_accepted_leaves_out_rejected_rows": (
        "models/intermediate/instacart/int_orders_accepted.sql",
        "rejected.file_name = orders.file_name",
        "true",
    ),
    "int_users_damaged_finds_users_with_rejected_rows": (
        "models/intermediate/instacart/int_users_damaged.sql",
        "\nunion\n",
        "\nunion all\n",
    ),
    "users_counts_orders_and_days": (
        "models/marts/instacart/users.sql",
        "coalesce(sum(days_since_prior_order), 0)",
        "sum(days_since_prior_order)",
    ),
    "fct_orders_measures_baskets": (
        "models/marts/instacart/fct_orders.sql",
        "sum(reordered)",
        "count(reordered)",
    ),
    "rejected_rows_gathers_all_entities": (
        "models/audit/rejected_rows.sql",
        "['aisles', 'departments', ",
        "['aisles', 'aisles', ",
    ),
    "row_reconciliation_counts_every_file": (
        "models/audit/row_reconciliation.sql",
        "where source_name = 'instacart'",
        "where true",
    ),
}


def test_every_unit_test_can_fail(dbt, built, tmp_path):
    unit_tests = {node["name"] for node in json.loads(built.manifest.read_text())["unit_tests"].values()}
    assert unit_tests == set(FAULTS)
    project = tmp_path / "project"
    shutil.copytree(
        PROJECT, project, ignore=shutil.ignore_patterns(".*", "target", "logs", "*.duckdb*", "tests", "seeds")
    )
    for name in ("seeds/reference", "tests"):
        (project / name).mkdir(parents=True, exist_ok=True)
    shutil.copytree(PROJECT / "tests/generic", project / "tests/generic")
    for file_name, right, wrong in FAULTS.values():
        path = project / file_name
        text = path.read_text()
        assert text.count(right) == 1, f"{file_name}: {right}"
        path.write_text(text.replace(right, wrong))
    shutil.copy(built.warehouse, dbt.warehouse)
    outcome = dbt("test", "--select", "test_type:unit", "--target-path", str(tmp_path / "target"), project=project)
    assert not outcome.ok
    failed = set(re.findall(r"FAIL 1 \w+::(\w+)", outcome.output))
    assert unit_tests - failed == set(), outcome.output
