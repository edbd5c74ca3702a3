"""The lake is the export: its tables have the columns of the contracts, show every month that is written, and give the
warehouse's totals when Athena's interface is asked."""

import copy
import datetime
import json
import re

import duckdb
import pytest
import sqlglot
from cfnlint.decode import cfn_yaml
from conftest import PROJECT
from sqlglot.optimizer.qualify import qualify

TEMPLATE = cfn_yaml.load(str(PROJECT / "infrastructure/lake.yaml"))
# As Athena and Spark name the types of the contracts.
TYPES = {"integer": "int", "bigint": "bigint", "boolean": "boolean", "date": "date", "timestamp": "timestamp"}
# As DuckDB names the same types in a Parquet file.
IN_FILES = {"integer": "int", "timestamp": "timestamp", "varchar": "string"}


def lake() -> dict:
    """The template, to be changed at will."""
    return copy.deepcopy(json.loads(json.dumps(TEMPLATE)))


def of_type(template: dict, type_: str) -> dict[str, dict]:
    return {name: one["Properties"] for name, one in template["Resources"].items() if one["Type"] == type_}


def tables(template: dict) -> dict[str, dict]:
    return {
        table["TableInput"]["Name"]: table["TableInput"] for table in of_type(template, "AWS::Glue::Table").values()
    }


def columns(table: dict) -> dict[str, str]:
    return {column["Name"]: column["Type"] for column in table["StorageDescriptor"]["Columns"]}


def glue_type(contract: str) -> str:
    name, _, size = contract.replace(" ", "").rstrip(")").partition("(")
    if name == "numeric":
        return f"decimal({size})"
    return "string" if name == "varchar" else TYPES[name]


@pytest.fixture(scope="module")
def models(built) -> dict[str, dict]:
    """Those that `export_parquet` writes unless told otherwise."""
    nodes = json.loads(built.manifest.read_text())["nodes"].values()
    return {node["name"]: node for node in nodes if node["config"].get("meta", {}).get("export_by_month")}


def problems(template: dict, models: dict[str, dict]) -> list[str]:
    """What the tables say otherwise than the models, one line each."""
    found = [f"{name} is no table" for name in models.keys() - tables(template).keys()]
    for name, table in tables(template).items():
        if name not in models:
            found.append(f"{name} is not exported")
            continue
        contract = {column: glue_type(of["data_type"]) for column, of in models[name]["columns"].items()}
        if list(columns(table).items()) != list(contract.items()):
            found.append(f"{name}: {columns(table)} instead of {contract}")
        month = re.sub("_date$", "_month", models[name]["config"]["meta"]["export_by_month"])
        keys = [(key["Name"], key["Type"]) for key in table["PartitionKeys"]]
        if keys != [(month, "date")]:
            found.append(f"{name}: partitions {keys}")
        parts = table["StorageDescriptor"]["Location"]["Fn::Join"][1]
        told = ["s3://", {"Fn::ImportValue": {"Fn::Sub": "${Foundation}-Bucket"}}, "/exports/", {"Ref": "Target"}]
        if parts != [*told, f"/{name}/"]:
            found.append(f"{name}: it lies in {parts}")
        if not models[name]["description"].startswith(table["Description"].split(".")[0]):
            found.append(f"{name}: {table['Description']}")
    return sorted(found)


def projected(table: dict, template: dict, today: datetime.date) -> set[str]:
    """The folders that Athena looks into, by the rules of
    https://docs.aws.amazon.com/athena/latest/ug/partition-projection-supported-types.html for a date."""
    [key] = [key["Name"] for key in table["PartitionKeys"]]
    of = {name.removeprefix(f"projection.{key}."): value for name, value in table["Parameters"].items()}
    if table["Parameters"].get("projection.enabled") != "true" or of.get("type") != "date":
        return set()
    text = of["range"]["Fn::Sub"].replace("${FirstMonth}", template["Parameters"]["FirstMonth"]["Default"])
    first, last = (bound(part, today) for part in text.split(","))
    if of["format"] != "yyyy-MM-dd" or of["interval.unit"] != "MONTHS":
        return set()
    months = (12 * last.year + last.month) - (12 * first.year + first.month)
    steps = (divmod(first.month - 1 + step, 12) for step in range(0, months + 1, int(of["interval"])))
    return {f"{key}={first.replace(year=first.year + years, month=month + 1)}" for years, month in steps}


def bound(text: str, today: datetime.date) -> datetime.date:
    """One end of a range: a date, or one that is counted from now."""
    relative = re.fullmatch(r"\s*NOW\s*(?:([+-])\s*(\d+)\s*YEARS?)?\s*", text)
    if not relative:
        return datetime.date.fromisoformat(text)
    years = int(f"{relative[1] or '+'}{relative[2] or 0}")
    return today.replace(year=today.year + years, day=min(today.day, 28))


def hidden(template: dict, folders: dict[str, list[str]], today: datetime.date) -> list[str]:
    """Folders that Athena does not look into."""
    return sorted(
        f"{name}/{folder}"
        for name, table in tables(template).items()
        for folder in set(folders[name]) - projected(table, template, today)
    )


def schema(template: dict) -> dict[str, dict[str, str]]:
    return {name: columns(table) | {"invoice_month": "date"} for name, table in tables(template).items()}


def unanswerable(template: dict) -> list[str]:
    """Named queries that Athena would refuse: no SQL, or a table or column that is none."""
    found = []
    for name, query in of_type(template, "AWS::Athena::NamedQuery").items():
        try:
            parsed = sqlglot.parse_one(query["QueryString"], read="athena")
            unknown = {table.name for table in parsed.find_all(sqlglot.exp.Table)}
            unknown -= set(tables(template)) | {cte.alias for cte in parsed.find_all(sqlglot.exp.CTE)}
            if unknown:
                found.append(f"{name}: there is no table {sorted(unknown)}")
            qualify(parsed, schema=schema(template), dialect="athena", validate_qualify_columns=True)
        except sqlglot.errors.SqlglotError as error:
            found.append(f"{name}: {error}")
        if (query["Database"], query["WorkGroup"]) != ({"Ref": "Database"}, {"Ref": "Questions"}):
            found.append(f"{name} is asked elsewhere")
    return found


def folders_of(exports) -> dict[str, list[str]]:
    return {table.name: [path.name for path in table.iterdir()] for table in exports.iterdir()}


def test_tables_are_those_of_the_contracts(models):
    assert len(models) == 3
    assert problems(lake(), models) == []


def test_files_have_the_columns_of_the_tables(built):
    for name, table in tables(lake()).items():
        files = f"{built.artifacts}/exports/dev/{name}/*/*.parquet"
        described = duckdb.connect().execute(f"describe from read_parquet('{files}', hive_partitioning = false)")
        found = {row[0]: row[1].lower().replace(" ", "") for row in described.fetchall()}
        assert {column: IN_FILES.get(type_, type_) for column, type_ in found.items()} == columns(table)


def test_athena_looks_into_every_folder_of_an_export(built):
    folders = folders_of(built.artifacts / "exports/dev")
    assert min(map(len, folders.values())) > 3
    assert hidden(lake(), folders, datetime.date(2026, 11, 26)) == []
    # Those of a till whose clock is a day ahead at the end of a year, of leap days, and of the first month.
    edges = ["invoice_month=2024-02-01", "invoice_month=2025-01-01", "invoice_month=2009-12-01"]
    assert hidden(lake(), {name: edges for name in folders}, datetime.date(2024, 2, 29)) == []
    before = ["invoice_month=2009-11-01", "invoice_month=2010-12-02", "2010-12-01"]
    assert len(hidden(lake(), {name: before for name in folders}, datetime.date(2024, 2, 29))) == 9


def test_named_queries_can_be_answered():
    assert unanswerable(lake()) == []
    assert len(of_type(lake(), "AWS::Athena::NamedQuery")) >= 4


def workgroup(template: dict, name: str) -> dict:
    return template["Resources"][name]["Properties"]["WorkGroupConfiguration"]


def test_a_query_cannot_read_without_limit_nor_write_elsewhere():
    template = lake()
    assert workgroup(template, "Questions")["BytesScannedCutoffPerQuery"] == {"Ref": "ScanLimit"}
    for name, prefix in (("Questions", "/athena/sql/"), ("Notebooks", "/athena/spark/")):
        configuration = workgroup(template, name)
        # Otherwise a client may name another place, and no limit.
        assert configuration["EnforceWorkGroupConfiguration"] is True
        results = configuration["ResultConfiguration"]
        assert results["OutputLocation"]["Fn::Join"][1][-1] == prefix
        assert results["EncryptionConfiguration"] == {"EncryptionOption": "SSE_S3"}
    [role] = of_type(template, "AWS::IAM::Role").values()
    written = {
        statement["Resource"]["Fn::Join"][1][-1]
        for policy in [*role["Policies"], *of_type(template, "AWS::IAM::ManagedPolicy").values()]
        for statement in policy["PolicyDocument"]["Statement"]
        if re.search("s3:(Put|Delete|[*])", str(statement["Action"]))
    }
    assert written == {"/athena/sql/*", "/athena/spark/*"}


def set_in(template: dict, path: str, value) -> None:
    *way, last = path.split("/")
    for step in way:
        template = template[int(step) if isinstance(template, list) else step]
    if value is None:
        del template[int(last) if isinstance(template, list) else last]
    else:
        template[int(last) if isinstance(template, list) else last] = value


SALES = "Resources/Sales/Properties/TableInput"
MONTHS = f"{SALES}/Parameters/projection.invoice_month"


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (f"{SALES}/StorageDescriptor/Columns/8/Type", "decimal(18,2)"),
        (f"{SALES}/StorageDescriptor/Columns/8/Type", "double"),
        (f"{SALES}/StorageDescriptor/Columns/6/Type", "bigint"),
        (f"{SALES}/StorageDescriptor/Columns/3/Name", "customer"),
        (f"{SALES}/StorageDescriptor/Columns/3", None),
        (f"{SALES}/PartitionKeys/0/Name", "invoice_date"),
        (f"{SALES}/PartitionKeys/0/Type", "string"),
        (f"{SALES}/StorageDescriptor/Location/Fn::Join/1/2", "/export/"),
        (f"{SALES}/StorageDescriptor/Location/Fn::Join/1/4", "/fct_cancellations/"),
        (f"{SALES}/Name", "fct_sale"),
        ("Resources/DailySales", None),
    ],
)
def test_a_table_that_differs_from_its_model_is_found(models, path, value):
    template = lake()
    set_in(template, path, value)
    assert problems(template, models)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (f"{MONTHS}.range", {"Fn::Sub": "${FirstMonth},2011-06-01"}),
        (f"{MONTHS}.range", {"Fn::Sub": "2011-01-01,NOW"}),
        (f"{MONTHS}.range", {"Fn::Sub": "2009-12-02,NOW"}),
        (f"{MONTHS}.range", {"Fn::Sub": "NOW-3YEARS,NOW"}),
        (f"{MONTHS}.format", "yyyy-MM"),
        (f"{MONTHS}.interval", "2"),
        (f"{MONTHS}.interval.unit", "DAYS"),
        (f"{MONTHS}.type", "enum"),
        (f"{SALES}/Parameters/projection.enabled", "false"),
        ("Parameters/FirstMonth/Default", "2011-02-01"),
    ],
)
def test_a_projection_that_leaves_out_a_month_is_found(built, path, value):
    template = lake()
    set_in(template, path, value)
    assert hidden(template, folders_of(built.artifacts / "exports/dev"), datetime.date(2026, 11, 26))


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("select invoice_month from (fct_daily_sales", "Expecting )"),
        ("select sum(gross) from fct_daily_sales", "could not be resolved"),
        ("select sum(gross_amount) from fct_sales", "could not be resolved"),
        ("select count(*) from rpt_monthly_sales", "there is no table"),
    ],
)
def test_a_query_that_athena_would_refuse_is_found(query, told):
    template = lake()
    set_in(template, "Resources/MonthlySales/Properties/QueryString", query)
    [found] = unanswerable(template)
    assert told in found
