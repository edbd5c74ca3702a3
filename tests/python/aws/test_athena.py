"""Athena's answers are the warehouse's: the export is put where the tables of the deployed lake look, and each named
query asked through Athena's interface. The emulator answers with DuckDB and finds months by the folders, so this shows
places, columns, queries and rights; types and projection are held by the rules in `test_lake.py`."""

import json
import time
from decimal import Decimal

import botocore.exceptions
import duckdb
import pytest
from cfnlint.decode import cfn_yaml
from conftest import PROJECT

TEMPLATE = cfn_yaml.load(str(PROJECT / "infrastructure/lake.yaml"))
# The emulator lacks their type; they are asked as they stand in the template.
QUERIES = {
    name: resource["Properties"]["QueryString"]
    for name, resource in TEMPLATE["Resources"].items()
    if resource["Type"] == "AWS::Athena::NamedQuery"
}


@pytest.fixture(scope="module")
def bucket(deployed, built) -> str:
    """The data bucket, with the export of the sample."""
    name, exports = deployed.outputs("foundation")["Bucket"], built.artifacts / "exports/dev"
    for path in exports.rglob("*.parquet"):
        key = f"exports/prod/{path.relative_to(exports)}"
        deployed.aws.client("s3").put_object(Bucket=name, Key=key, Body=path.read_bytes())
    return name


@pytest.fixture(scope="module")
def reader(deployed) -> dict[str, str]:
    """Credentials of somebody who has the lake's policy for readers, and no other right."""
    iam, owner = deployed.aws.client("iam"), {"AWS": "arn:aws:iam::000000000000:root"}
    trust = {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Principal": owner, "Action": "sts:AssumeRole"}],
    }
    role = iam.create_role(RoleName="reader", AssumeRolePolicyDocument=json.dumps(trust))["Role"]["Arn"]
    iam.attach_role_policy(RoleName="reader", PolicyArn=deployed.outputs("lake")["ReaderPolicy"])
    return deployed.aws.as_role(role)


@pytest.fixture(scope="module")
def ask(deployed, bucket, reader):
    """Asks Athena a query as a reader; returns its rows as text. The account's owner looks at the answer: AWS knows the
    workgroup of an execution, to which the reader's right is bound, and the emulator does not."""
    athena, owner = deployed.aws.client("athena", **reader), deployed.aws.client("athena")
    lake = deployed.outputs("lake")

    def asked(sql: str) -> list[tuple]:
        where = {"WorkGroup": lake["Workgroup"], "QueryExecutionContext": {"Database": lake["Database"]}}
        id_ = athena.start_query_execution(QueryString=sql, **where)["QueryExecutionId"]
        status = {"State": "QUEUED"}
        while status["State"] in ("QUEUED", "RUNNING"):
            time.sleep(0.02)
            execution = owner.get_query_execution(QueryExecutionId=id_)["QueryExecution"]
            status = execution["Status"]
        assert status["State"] == "SUCCEEDED", status
        # Where the workgroup says; a client names no place.
        assert execution["ResultConfiguration"]["OutputLocation"].startswith(f"s3://{bucket}/athena/sql/")
        rows = owner.get_query_results(QueryExecutionId=id_)["ResultSet"]["Rows"]
        return [tuple(field.get("VarCharValue") for field in row["Data"]) for row in rows[1:]]

    return asked


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


def test_named_queries_give_the_figures_of_the_reports(ask, built):
    assert EXPECTED.keys() == QUERIES.keys()
    with duckdb.connect(str(built.warehouse), read_only=True) as connection:
        for name, sql in EXPECTED.items():
            expected = as_text(connection.execute(sql).fetchall())
            assert len(expected) > 3
            assert ask(QUERIES[name]) == expected, name


def test_totals_are_exact(ask, built):
    sums = "select count(*), sum(line_amount), sum(quantity), count(distinct invoice_no) from "
    with duckdb.connect(str(built.warehouse), read_only=True) as connection:
        for name in ("fct_sales", "fct_cancellations"):
            expected = as_text(connection.execute(f"{sums} online_retail.{name}").fetchall())
            assert ask(sums + name) == expected
            assert Decimal(expected[0][1]) != 0


def test_a_month_that_is_missing_is_seen(ask, deployed, bucket, built):
    s3, [month, *_] = deployed.aws.client("s3"), sorted((built.artifacts / "exports/dev/fct_sales").iterdir())
    key = f"exports/prod/fct_sales/{month.name}/{next(month.iterdir()).name}"
    kept = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
    of_lines = ("RowsByMonth", "BestStockItems", "MonthlySales")
    before = {name: ask(QUERIES[name]) for name in of_lines}
    s3.delete_object(Bucket=bucket, Key=key)
    try:
        after = {name: ask(QUERIES[name]) for name in of_lines}
    finally:
        s3.put_object(Bucket=bucket, Key=key, Body=kept)
    assert [name for name in of_lines if before[name] != after[name]] == ["RowsByMonth", "BestStockItems"]
    assert len(before["RowsByMonth"]) - len(after["RowsByMonth"]) == 1


def may(call, **arguments) -> bool:
    try:
        call(**arguments)
    except botocore.exceptions.ClientError as error:
        if not error.response["Error"]["Code"].startswith("AccessDenied"):
            raise
        return False
    return True


def test_readers_and_notebooks_see_the_export_and_nothing_else(deployed, bucket, reader):
    exported = next(iter(deployed.aws.client("s3").list_objects_v2(Bucket=bucket, Prefix="exports/")["Contents"]))[
        "Key"
    ]
    deployed.aws.client("s3").put_object(Bucket=bucket, Key="raw/online_retail/secret.csv", Body=b"x")
    [spark] = [
        resource["PhysicalResourceId"]
        for resource in deployed.aws.client("cloudformation").describe_stack_resources(StackName="retail-lake")[
            "StackResources"
        ]
        if resource["LogicalResourceId"] == "SparkRole"
    ]
    notebook = deployed.aws.as_role(deployed.aws.client("iam").get_role(RoleName=spark)["Role"]["Arn"])
    for credentials, own in ((reader, "athena/sql/x"), (notebook, "athena/spark/x")):
        s3, glue = (deployed.aws.client(service, **credentials) for service in ("s3", "glue"))
        assert may(s3.get_object, Bucket=bucket, Key=exported)
        assert may(s3.list_objects_v2, Bucket=bucket, Prefix="exports/prod/")
        assert may(s3.put_object, Bucket=bucket, Key=own, Body=b"x")
        assert may(glue.get_table, DatabaseName="online_retail", Name="fct_sales")
        assert not may(s3.get_object, Bucket=bucket, Key="raw/online_retail/secret.csv")
        assert not may(s3.list_objects_v2, Bucket=bucket, Prefix="raw/")
        assert not may(s3.put_object, Bucket=bucket, Key=exported, Body=b"x")
        assert not may(s3.put_object, Bucket=bucket, Key="raw/online_retail/x.csv", Body=b"x")
        assert not may(glue.delete_table, DatabaseName="online_retail", Name="fct_sales")
        dynamodb = deployed.aws.client("dynamodb", **credentials)
        assert not may(dynamodb.scan, TableName=deployed.outputs("foundation")["LinesTable"])
    other = {"QueryString": "select 1", "ResultConfiguration": {"OutputLocation": f"s3://{bucket}/raw/"}}
    assert not may(deployed.aws.client("athena", **reader).start_query_execution, WorkGroup="primary", **other)
