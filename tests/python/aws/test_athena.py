"""Athena's answers are the warehouse's: `lake.yaml` is deployed to an emulator, the export put where its tables look,
and each named query asked through Athena's interface. The emulator answers with DuckDB and finds months by the folders,
so this shows places, columns and queries; types and projection are held by the rules in `test_lake.py`."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from decimal import Decimal
from pathlib import Path

import boto3
import duckdb
import pytest
from cfnlint.decode import cfn_yaml
from conftest import PROJECT

REGION = "eu-west-2"
TEMPLATE = json.loads(json.dumps(cfn_yaml.load(str(PROJECT / "infrastructure/lake.yaml"))))
# The one type that the emulator lacks; the queries are asked without it.
QUERIES = {
    name: resource["Properties"]["QueryString"]
    for name, resource in TEMPLATE["Resources"].items()
    if resource["Type"] == "AWS::Athena::NamedQuery"
}
# What lake.yaml imports.
FOUNDATION = {
    "Resources": {"Data": {"Type": "AWS::S3::Bucket"}},
    "Outputs": {
        name: {"Value": value, "Export": {"Name": f"retail-foundation-{name}"}}
        for name, value in {
            "Bucket": {"Ref": "Data"},
            "BucketArn": {"Fn::GetAtt": ["Data", "Arn"]},
            "Boundary": "arn:aws:iam::aws:policy/PowerUserAccess",
        }.items()
    },
}


class Emulator:
    def __init__(self, folder: Path) -> None:
        with contextlib.closing(socket.socket()) as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        own = {
            "GATEWAY_PORT": str(self.port),
            "BIND_HOST": "127.0.0.1",
            "IOT_MTLS_ENABLED": "0",
            "MINISTACK_REGION": REGION,
            "ATHENA_ENGINE": "duckdb",
            "S3_DATA_DIR": str(folder / "s3"),
            "STATE_DIR": str(folder / "state"),
        }
        self._log = (folder / "ministack.log").open("w+")
        program = Path(sys.executable).parent / "ministack"
        self._process = subprocess.Popen([program], env=os.environ | own, stdout=self._log, stderr=subprocess.STDOUT)

    def wait(self) -> None:
        while True:
            with contextlib.suppress(OSError):
                urllib.request.urlopen(f"http://127.0.0.1:{self.port}/_ministack/health", timeout=1)
                return
            if self._process.poll() is not None:
                self._log.seek(0)
                pytest.fail(f"The emulator has ended: {self._log.read()[-2000:]}")
            time.sleep(0.05)

    def client(self, service: str):
        return boto3.client(
            service,
            endpoint_url=f"http://127.0.0.1:{self.port}",
            region_name=REGION,
            aws_access_key_id="test",
            aws_secret_access_key="test",
        )

    def deploy(self, name: str, template: dict) -> dict[str, str]:
        cloudformation = self.client("cloudformation")
        text = json.dumps(template)
        cloudformation.create_stack(StackName=name, TemplateBody=text, Capabilities=["CAPABILITY_IAM"])
        waiter = cloudformation.get_waiter("stack_create_complete")
        waiter.wait(StackName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 60})
        [stack] = cloudformation.describe_stacks(StackName=name)["Stacks"]
        return {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}

    def stop(self) -> None:
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
        self._log.close()


@pytest.fixture(scope="module")
def asked(built, tmp_path_factory):
    """Asks Athena a query; returns its rows as text."""
    emulator = Emulator(tmp_path_factory.mktemp("athena"))
    try:
        emulator.wait()
        bucket = emulator.deploy("retail-foundation", FOUNDATION)["Bucket"]
        resources = {name: of for name, of in TEMPLATE["Resources"].items() if name not in QUERIES}
        lake = emulator.deploy("retail-lake", TEMPLATE | {"Resources": resources})
        exports = built.artifacts / "exports/dev"
        for path in exports.rglob("*.parquet"):
            key = f"exports/prod/{path.relative_to(exports)}"
            emulator.client("s3").put_object(Bucket=bucket, Key=key, Body=path.read_bytes())
        athena = emulator.client("athena")

        def ask(sql: str) -> list[tuple]:
            id_ = athena.start_query_execution(
                QueryString=sql,
                WorkGroup=lake["Workgroup"],
                QueryExecutionContext={"Database": lake["Database"]},
            )["QueryExecutionId"]
            while True:
                execution = athena.get_query_execution(QueryExecutionId=id_)["QueryExecution"]
                if execution["Status"]["State"] not in ("QUEUED", "RUNNING"):
                    break
                time.sleep(0.02)
            assert execution["Status"]["State"] == "SUCCEEDED", execution["Status"]
            # Where the workgroup says, which a client cannot change.
            assert execution["ResultConfiguration"]["OutputLocation"].startswith(f"s3://{bucket}/athena/sql/")
            rows = athena.get_query_results(QueryExecutionId=id_)["ResultSet"]["Rows"]
            return [tuple(field.get("VarCharValue") for field in row["Data"]) for row in rows[1:]]

        ask.export, ask.s3 = f"s3://{bucket}/exports/prod", emulator.client("s3")
        yield ask
    finally:
        emulator.stop()


def as_text(rows: list[tuple]) -> list[tuple]:
    return [tuple(None if value is None else str(value) for value in row) for row in rows]


# The same figures by reports and marts, without the export.
EXPECTED = {
    "MonthlySales": """
        select sales_month, gross_amount, cancellation_amount, net_amount from reports.rpt_monthly_totals
        where gross_amount <> 0 or cancellation_amount <> 0 order by sales_month
        """,
    "BestCountries": """
        select country, sum(net_amount) as net_amount, sum(units)::bigint
        from reports.rpt_monthly_sales where year(sales_month) = 2011
        group by country order by net_amount desc, country
        """,
    "BestStockItems": """
        select stock_code, sales_amount, units_sold, cancellation_amount from reports.rpt_stock_item_performance
        where is_product and units_sold > 0 order by sales_amount desc, stock_code limit 20
        """,
    "RowsByMonth": " union all ".join(
        f"select '{name}' as name, date_trunc('month', invoice_date)::date as month, count(*)"
        f" from online_retail.{name} group by all"
        for name in ("fct_sales", "fct_cancellations", "fct_daily_sales")
    )
    + " order by name, month",
}


def test_named_queries_give_the_figures_of_the_reports(asked, built):
    assert EXPECTED.keys() == QUERIES.keys()
    with duckdb.connect(str(built.warehouse), read_only=True) as connection:
        for name, sql in EXPECTED.items():
            expected = as_text(connection.execute(sql).fetchall())
            assert len(expected) > 3
            assert asked(QUERIES[name]) == expected, name


def test_totals_are_exact(asked, built):
    sums = "select count(*), sum(line_amount), sum(quantity), count(distinct invoice_no) from "
    with duckdb.connect(str(built.warehouse), read_only=True) as connection:
        for name in ("fct_sales", "fct_cancellations"):
            expected = as_text(connection.execute(f"{sums} online_retail.{name}").fetchall())
            assert asked(sums + name) == expected
            assert Decimal(expected[0][1]) != 0


def test_a_month_that_is_missing_is_seen(asked, built):
    bucket, prefix = asked.export.removeprefix("s3://").split("/", 1)
    [month, *_] = sorted((built.artifacts / "exports/dev/fct_sales").iterdir())
    key = f"{prefix}/fct_sales/{month.name}/{next(month.iterdir()).name}"
    kept = asked.s3.get_object(Bucket=bucket, Key=key)["Body"].read()
    before = {name: asked(QUERIES[name]) for name in ("RowsByMonth", "BestStockItems", "MonthlySales")}
    asked.s3.delete_object(Bucket=bucket, Key=key)
    try:
        after = {name: asked(sql) for name, sql in QUERIES.items() if name in before}
    finally:
        asked.s3.put_object(Bucket=bucket, Key=key, Body=kept)
    assert [name for name in before if before[name] != after[name]] == ["RowsByMonth", "BestStockItems"]
    assert len(before["RowsByMonth"]) - len(after["RowsByMonth"]) == 1
