"""Every data test passes on the built sample and fails after a fault is planted in a copy of it."""

import json
import shutil

import duckdb
import pytest
from conftest import INSTACART, TESTS_OF_BOTH

# For each singular test the statements that plant its fault.
SINGULAR_FAULTS = {
    "assert_no_file_has_the_other_date_order": [
        "insert into audit.doubted_files values ('online_retail', 'invoice_lines', 'f', 'other_date_order', 'd')"
    ],
    "assert_no_file_repeats_another": [
        "insert into audit.doubted_files values ('online_retail', 'invoice_lines', 'f', 'repeated', 'd')"
    ],
    "assert_landed_lines_are_kept": [
        "insert into staging.stg_online_retail__streamed_lines (invoice_no, has_other_date_order, is_repeated,"
        " file_name, row_number, landing_file, landing_position) values ('1', false, true, 'till', 2, 'a.ndjson', 1)"
    ],
    "assert_order_numbers_run_without_gaps": [
        "update instacart.orders set order_number = 200 where order_number = 2 and user_id = 1"
    ],
    "assert_gap_is_null_exactly_on_first_orders": [
        "update instacart.orders set days_since_prior_order = 0 where order_number = 1 and user_id = 1"
    ],
    "assert_cart_positions_run_without_gaps": [
        "update instacart.order_products set add_to_cart_order = 1000"
        " where order_id = (select min(order_id) from instacart.order_products) and add_to_cart_order = 1",
        "update instacart.order_products set add_to_cart_order = 1 where add_to_cart_order = 2 and order_id ="
        " (select max(order_id) from instacart.order_products where add_to_cart_order = 3)",
    ],
    "assert_reordered_agrees_with_history": [
        "update instacart.order_products set reordered = 1"
        " where order_id = (select order_id from instacart.orders where user_id = 1 and order_number = 1)"
    ],
    "assert_test_orders_have_no_lines": [
        "update instacart.fct_orders set basket_size = 1 where order_id ="
        " (select min(order_id) from instacart.fct_orders where eval_set = 'test')"
    ],
    "assert_totals_agree_across_marts": [
        "delete from instacart.fct_orders where order_id = (select min(order_id) from instacart.fct_orders)"
    ],
    "assert_raw_rows_are_accepted_or_rejected": [
        "update audit.row_reconciliation set accepted_rows = accepted_rows - 1 where table_name = 'aisles'"
    ],
    "assert_invoice_lines_are_of_the_five_types": [
        "update online_retail.invoice_lines set transaction_type = 'gift'"
        " where invoice_line_id = (select min(invoice_line_id) from online_retail.fct_sales)"
    ],
    "assert_sales_add_up_to_the_penny": [
        "update online_retail.fct_daily_sales set gross_amount = gross_amount + 0.001"
        " where rowid = (select min(rowid) from online_retail.fct_daily_sales)"
    ],
    "assert_cancellations_and_bad_debt_are_never_sales": [
        "update online_retail.fct_sales set invoice_no = 'A' || invoice_no"
        " where rowid = (select min(rowid) from online_retail.fct_sales)"
    ],
    "assert_row_counts_carry_through_layers": [
        "delete from instacart.products where product_id = (select min(product_id) from instacart.products)"
    ],
    "assert_reports_of_instacart_add_up": [
        "update reports.rpt_order_gaps set order_count = order_count + 1"
        " where rowid = (select min(rowid) from reports.rpt_order_gaps)"
    ],
    "assert_reports_of_online_retail_add_up": [
        "update reports.rpt_customer_rfm set monetary = monetary + 0.001"
        " where rowid = (select min(rowid) from reports.rpt_customer_rfm)"
    ],
    "assert_reorder_candidates_are_complete": [
        "delete from features.ftr_user_aisles where rowid = (select min(rowid) from features.ftr_user_aisles)"
    ],
    "assert_statistics_hold_no_target": [
        "update features.ftr_orders set is_in_statistics = true"
        " where order_id = (select min(order_id) from features.ftr_orders where is_target)"
    ],
    "assert_every_known_product_is_predicted": [
        "delete from predictions.predicted_reorders"
        " where rowid = (select min(rowid) from predictions.predicted_reorders)"
    ],
    "assert_first_purchases_are_new": [
        "update predictions.predicted_first_purchases set product_id ="
        " (select min(product_id) from features.ftr_user_products where user_id = 1 and orders_back = 0)"
        " where user_id = 1 and rank = 1"
    ],
    "assert_ranks_follow_what_they_rank_by": [
        "update predictions.next_in_cart set probability = 0"
        " where rowid = (select min(rowid) from predictions.next_in_cart where rank = 1)"
    ],
    "assert_baskets_hold_the_marked_products": [
        "update predictions.predicted_baskets set product_count = product_count + 1"
        " where rowid = (select min(rowid) from predictions.predicted_baskets)"
    ],
}


# A table of rejected rows for each view that a gate counts them in.
COUNTED = {
    "intermediate.int_instacart_rejections_counted": "intermediate.int_orders_rejected",
    "intermediate.int_online_retail_rejections_counted": "intermediate.int_invoice_lines_rejected",
}


def planted_row(types: dict[str, str], column: str | None = None, value: str = "null") -> str:
    """A row of constants, as the body of a select; one column may be given its own value."""
    ones = {"BOOLEAN": "true", "TIMESTAMP": "timestamp '2011-01-01'"}
    values = [
        value if name == column else ones.get(data_type, f"cast('1' as {data_type})")
        for name, data_type in types.items()
    ]
    return "select " + ", ".join(values)


def bad_value(data_type: str, arguments: dict) -> str:
    if "min_value" in arguments:
        return str(arguments["min_value"] - 1)
    if "max_value" in arguments:
        return str(arguments["max_value"] + 1)
    return {"VARCHAR": "'planted fault'", "DATE": "date '1900-01-01'"}.get(data_type, "-99")


def rules(node: dict) -> list[tuple[str, dict]]:
    """What a test looks for, as name and arguments of a generic test: of `valid_values` a rule for each column and
    bound, of a singular test nothing but itself."""
    if "test_metadata" not in node:
        return [("singular", {})]
    name, arguments = node["test_metadata"]["name"], node["test_metadata"]["kwargs"]
    if name != "valid_values":
        return [(name, arguments)]
    found = [("not_null", {"column_name": column}) for column in arguments.get("not_null", {})]
    for column, values in arguments.get("accepted_values", {}).items():
        found.append(("accepted_values", {"column_name": column, "values": values}))
    for column, bounds in arguments.get("ranges", {}).items():
        found += [("accepted_range", {"column_name": column, bound: value}) for bound, value in bounds.items()]
    return found


def fault(name: str, arguments: dict, relation: str, types: dict[str, str], is_empty: bool) -> list[str]:
    """The statements that plant the fault of a generic test into its relation."""
    column = arguments.get("column_name")
    if name in ("unique", "unique_combination_of_columns", "unique_row_numbers"):
        source = planted_row(types) if is_empty else f"select * from {relation} limit 1"
        return [f"insert into {relation} {source}"] * (2 if is_empty else 1)
    if name in ("no_rejected_rows", "rejected_rows_within_limit"):
        rejected = COUNTED.get(relation, relation)
        table = rejected.split(".")[1].removeprefix("int_").removesuffix("_rejected")
        columns = "table_name, file_name, row_number, reason, detail, raw_record"
        return [
            f"insert into {rejected} ({columns})"
            f" select '{table}', 'planted.csv', unnest(range(2, 2002)), 'missing_key', 'planted', 'planted'"
        ]
    assert name in ("not_null", "accepted_values", "accepted_range", "relationships"), f"no fault is known for {name}"
    value = "null" if name == "not_null" else bad_value(types[column], arguments)
    if is_empty:
        return [f"insert into {relation} {planted_row(types, column, value)}"]
    return [f"update {relation} set {column} = {value} where rowid = (select min(rowid) from {relation})"]


def make_table(connection: duckdb.DuckDBPyConnection, relation: str) -> None:
    """Turn a view into a table with the same rows, so that a fault can be planted in it."""
    schema, name = relation.split(".")
    [(is_view,)] = connection.execute(
        "select count(*) from duckdb_views() where schema_name = ? and view_name = ?", [schema, name]
    ).fetchall()
    if is_view:
        connection.execute(f"create table {schema}.planted as select * from {relation}")
        connection.execute(f"drop view {relation}")
        connection.execute(f"alter table {schema}.planted rename to {name}")


def test_every_data_test_can_fail(built, tmp_path):
    manifest = json.loads(built.manifest.read_text())
    nodes, sources = manifest["nodes"], manifest["sources"]
    tests = [node for node in nodes.values() if node["resource_type"] == "test"]
    assert len(tests) > 200
    copy = tmp_path / built.warehouse.name  # the compiled SQL names the database by its file
    shutil.copy(built.warehouse, copy)
    problems, planted, refused = [], 0, 0
    with duckdb.connect(str(copy)) as connection:
        connection.execute("set default_null_order = 'nulls_last_on_asc_first_on_desc'")
        connection.execute("set integer_division = true")

        def failures(node: dict) -> int:
            return connection.execute(f"select count(*) from ({node['compiled_code']}\n)").fetchall()[0][0]

        for node, name, arguments in [(test, *rule) for test in tests for rule in rules(test)]:
            if failures(node) != 0:
                problems.append(f"{node['name']} fails before its fault")
            planted += 1
            connection.begin()
            try:
                if name == "singular":
                    statements = SINGULAR_FAULTS.get(node["name"])
                    if statements is None:
                        problems.append(f"{node['name']} has no fault in SINGULAR_FAULTS")
                        continue
                else:
                    model = nodes.get(node["attached_node"]) or sources[node["depends_on"]["nodes"][0]]
                    relation = f"{model['schema']}.{model.get('alias', model['name'])}"
                    # The gate must see a fault in the rows that it counts, so its own view stays a view.
                    make_table(connection, COUNTED[relation] if name == "rejected_rows_within_limit" else relation)
                    types = {row[0]: row[1] for row in connection.execute(f"describe {relation}").fetchall()}
                    [(rows,)] = connection.execute(f"select count(*) from {relation}").fetchall()
                    statements = fault(name, arguments, relation, types, rows == 0)
                for statement in statements:
                    connection.execute(statement)
                if failures(node) == 0:
                    problems.append(f"{node['name']} passes after its fault: {statements}")
            except duckdb.ConstraintException:
                refused += 1  # the contract does not let the fault in
            finally:
                connection.rollback()
    print(f"{len(tests)} data tests, {planted} faults, of which the contract refused {refused}")
    assert planted > 500
    assert not problems, "\n".join(problems)


@pytest.mark.slow
def test_a_planted_fault_stops_the_build(built_dbt, data):
    """The same through dbt: a gap in a history is an error where histories are declared complete, else a warning."""
    orders = data.lines("orders")
    row = next(n for n, line in enumerate(orders) if ",prior,2," in line)
    data.replace_line("orders", row + 1, orders[row].replace(",prior,2,", ",prior,150,"))
    declared = built_dbt.build(*INSTACART, *TESTS_OF_BOTH, "--vars", "{complete_histories: true}", data=data)
    assert not declared.ok
    assert "assert_order_numbers_run_without_gaps" in declared.output
    undeclared = built_dbt.build(*INSTACART, *TESTS_OF_BOTH, data=data)
    assert undeclared.ok, undeclared.output
    assert "WARN 1 assert_order_numbers_run_without_gaps" in undeclared.output


@pytest.mark.parametrize("name", sorted(SINGULAR_FAULTS))
def test_singular_faults_belong_to_a_test(built, name):
    assert f"test.retail_warehouse.{name}" in json.loads(built.manifest.read_text())["nodes"]


def test_the_contract_refuses_every_null_that_it_forbids(built, tmp_path):
    """Marts test their keys for nulls; all other columns that must not be null rely on the constraint."""
    nodes = json.loads(built.manifest.read_text())["nodes"]
    copy = tmp_path / built.warehouse.name
    shutil.copy(built.warehouse, copy)
    refused = 0
    with duckdb.connect(str(copy)) as connection:
        for node in nodes.values():
            if node["resource_type"] != "model" or node["config"]["materialized"] == "view":
                continue
            relation = f"{node['schema']}.{node['alias']}"
            [(rows,)] = connection.execute(f"select count(*) from {relation}").fetchall()
            for column in node["columns"].values():
                if any(constraint["type"] == "not_null" for constraint in column["constraints"]):
                    name = column["name"]
                    statement = f"update {relation} set {name} = null"
                    if rows == 0:
                        statement = f"insert into {relation} ({name}) values (null)"
                    with pytest.raises(duckdb.ConstraintException, match="NOT NULL"):
                        connection.execute(statement)
                    refused += 1
    assert refused > 80
