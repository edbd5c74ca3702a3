"""The metrics of the semantic layer, asked as a BI tool asks them, are the figures of the reports."""

import datetime
import json
import re
import shlex
import shutil
from decimal import Decimal

import duckdb
import pytest
from click.testing import CliRunner
from conftest import PROJECT
from dbt_metricflow.cli.cli_configuration import CLIConfiguration
from dbt_metricflow.cli.main import cli
from metricflow.engine.metricflow_engine import MetricFlowQueryRequest

MONTHLY = {
    "gross_sales": "gross_amount",
    "cancelled_sales": "cancellation_amount",
    "net_sales": "net_amount",
    "cancellation_rate": "cancellation_rate",
    "units_sold": "units",
    "sale_lines": "line_count",
    "sale_invoices": "invoice_count",
    "average_invoice_value": "average_invoice_value",
    "lines_per_invoice": "lines_per_invoice",
    "active_customers": "customer_count",
    "new_customers": "new_customer_count",
}
# Metrics by what they are asked for by, and the query of a report that has the same rows and columns. One of them is
# grouped as its report is, and none is computed twice.
COMPARED = {
    "months": (
        MONTHLY,
        ["metric_time__month"],
        f"select sales_month, {', '.join(MONTHLY.values())} from reports.rpt_monthly_totals",
    ),
    "countries": (
        ["gross_sales", "net_sales"],
        ["country"],
        "select country, sum(gross_amount), sum(net_amount) from reports.rpt_monthly_sales group by country",
    ),
    "stock items": (
        ["net_sales", "units_sold"],
        ["stock_item", "stock_item__description"],
        "select stock_code, description, net_amount, units_sold from reports.rpt_stock_item_performance",
    ),
    "segments": (
        ["gross_sales", "active_customers", "new_customers"],
        ["customer__segment"],
        "select segment, sum(monetary), count(*), count(*) from reports.rpt_customer_rfm group by segment"
        " union all select null, sum(line_amount), 0, 0 from online_retail.fct_sales where customer_id = 'Unknown'",
    ),
    "times": (
        ["order_count", "orders_with_lines", "items_in_orders", "average_basket_size"],
        ["order__order_dow", "order__order_hour_of_day"],
        "select order_dow, order_hour_of_day, order_count, orders_with_lines, item_count, mean_basket_size"
        " from reports.rpt_order_times",
    ),
    "times of items": (
        ["items_ordered", "items_reordered", "reorder_share"],
        ["order_item__order_dow", "order_item__order_hour_of_day"],
        "select order_dow, order_hour_of_day, item_count, reordered_items, reorder_share from reports.rpt_order_times",
    ),
    "departments": (
        ["orders_with_item", "items_ordered", "reorder_share"],
        ["order_item__department"],
        "select department, order_count, item_count, reorder_share from reports.rpt_department_performance"
        " where item_count > 0",
    ),
    "aisles": (
        ["orders_with_item", "items_ordered", "reorder_share"],
        ["order_item__aisle"],
        "select aisle, order_count, item_count, reorder_share from reports.rpt_aisle_performance where item_count > 0",
    ),
    "order numbers": (
        ["ordering_users", "new_products_in_orders", "new_products_per_order"],
        ["order__order_number"],
        "select order_number, user_count, sum(basket_size - reordered_items), mean_new_products"
        " from reports.rpt_order_sequence inner join instacart.fct_orders using (order_number) group by all",
    ),
}


@pytest.fixture(scope="module")
def environment(built, tmp_path_factory):
    folder = tmp_path_factory.mktemp("metrics")
    (folder / "profiles.yml").write_text((PROJECT / "profiles.yml.example").read_text())
    # MetricFlow looks for what dbt has parsed in the folder `target` of the project, whatever DBT_TARGET_PATH says.
    (folder / "dbt_project.yml").write_text((PROJECT / "dbt_project.yml").read_text())
    (folder / "target").symlink_to(built.artifacts)
    # A copy: it holds the file open, as one that writes.
    shutil.copy(built.warehouse, folder / built.warehouse.name)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {
            "WAREHOUSE_PATH": folder / built.warehouse.name,
            "DBT_LOG_PATH": folder,
            "DBT_PROFILES_DIR": folder,
            "DBT_PROJECT_DIR": folder,
        }.items():
            patch.setenv(name, str(value))
        patch.chdir(folder)
        yield


@pytest.fixture(scope="module")
def metricflow(environment):
    configuration = CLIConfiguration()
    configuration.setup(configure_file_logging=False)
    return configuration


def asked(metricflow, **query) -> list[tuple]:
    request = MetricFlowQueryRequest.create(**query)
    table = metricflow.mf.query(request).result_df
    return [dict(zip(table.column_names, row, strict=True)) for row in table.rows]


def key(value):
    return value.date() if isinstance(value, datetime.datetime) else value


@pytest.mark.parametrize("name", COMPARED)
def test_metrics_equal_the_reports_to_the_penny(built, metricflow, name):
    metrics, groups, sql = COMPARED[name]
    rows = asked(metricflow, metric_names=list(metrics), group_by_names=groups)
    ours = {tuple(key(row[group]) for group in groups): [row[metric] for metric in metrics] for row in rows}
    with duckdb.connect(str(built.warehouse), read_only=True) as connection:
        reported = connection.execute(sql).fetchall()
    theirs = {row[: len(groups)]: row[len(groups) :] for row in reported}
    assert len(rows) == len(ours) == len(theirs) > 1
    for at, values in theirs.items():
        for metric, value, asked_for in zip(metrics, values, ours[at], strict=True):
            if not value:  # a sum of nothing is null to a metric
                assert not asked_for, (metric, at)
                continue
            # As many decimals as the report has; half of the last one is its rounding.
            places = -value.as_tuple().exponent if isinstance(value, Decimal) else 0
            assert abs(Decimal(asked_for) - Decimal(value)) <= Decimal("0.51") * Decimal(10) ** -places, (metric, at)


def test_every_metric_is_compared_and_documented(built):
    manifest = json.loads(built.manifest.read_text())
    metrics = {metric["name"]: metric for metric in manifest["metrics"].values()}
    assert set(metrics) == {name for compared, _, _ in COMPARED.values() for name in compared}
    for metric in metrics.values():
        assert metric["label"]
        assert metric["description"].endswith(".")
        # Others than simple ones on a model break dbt's partial parsing.
        assert metric["type"] == "simple" or metric["original_file_path"] == "models/marts/_metrics.yml"


def test_saved_queries_are_the_headline_figures(built, metricflow, monkeypatch):
    from retail_warehouse.dashboard import page, source

    monkeypatch.setenv("WAREHOUSE_PATH", str(built.warehouse))
    shown = page.headlines(source.read())
    with duckdb.connect(str(built.warehouse), read_only=True) as connection:
        [(month,)] = connection.execute(
            "select max(sales_month) from reports.rpt_monthly_totals where is_complete_month"
        ).fetchall()
    [row] = [
        row
        for row in asked(metricflow, saved_query_name="online_retail_headlines")
        if row["metric_time__month"].date() == month
    ]
    fields = {field: metric for metric, field in MONTHLY.items()}
    for figure in shown["Online Retail"]:
        assert float(row[fields[figure.name]]) == pytest.approx(figure.value, abs=0.0005), figure.label
    [row] = asked(metricflow, saved_query_name="instacart_headlines")
    names = {"orders": "order_count", "users": "ordering_users", "items": "items_ordered"}
    values = {figure.name: figure for figure in shown["Instacart"]}
    assert {name: values[name].value for name in names} == {name: row[metric] for name, metric in names.items()}
    assert values["basket"].text == f"{row['average_basket_size']:.2f}"
    assert values["reordered"].text == f"{row['reorder_share']:.1%}".replace("%", " %")


def test_mf_validates_and_answers_what_the_page_asks(environment, tmp_path):
    """The command line, with the commands of docs/reports.md; an unknown metric ends it with 1."""
    validated = CliRunner().invoke(cli, ["validate-configs"])
    assert validated.exit_code == 0, validated.output
    out = tmp_path / "out.csv"
    queries = re.findall(r"^mf (query .*)", (PROJECT / "docs/reports.md").read_text(), re.MULTILINE)
    assert len(queries) == 5
    for query in queries:
        arguments = [str(out) if word.endswith(".csv") else word for word in shlex.split(query, comments=True)]
        asked_for = CliRunner().invoke(cli, arguments)
        assert asked_for.exit_code == 0, f"{query}\n{asked_for.output}"
    assert out.read_text().startswith("order_item__department,reorder_share,items_ordered\n")
