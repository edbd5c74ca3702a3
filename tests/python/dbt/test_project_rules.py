"""The rules of the project that a machine can check, read from dbt's manifest."""

import contextlib
import graphlib
import importlib
import json
import re
import tomllib

import duckdb
import pytest
import sqlglot
import yaml
from conftest import INSTACART, ONLINE_RETAIL, PROJECT, TESTS_OF_BOTH
from sqlglot import exp

PREFIXES = {"staging": "stg_", "intermediate": "int_", "reports": "rpt_", "features": "ftr_"}
LAYERS = ("source", "staging", "intermediate", "marts", "reports", "features", "predictions", "audit")
# Layers that others rely on: under contract, with tested foreign keys.
PUBLISHED = ("marts/", "reports/", "features/", "predictions/", "audit/")
DATA_TESTS = ("tests/generic/*.sql", "tests/singular/**/*.sql")


@pytest.fixture(scope="module")
def manifest(built):
    return json.loads(built.manifest.read_text())


@pytest.fixture(scope="module")
def models(manifest):
    return {id_: node for id_, node in manifest["nodes"].items() if node["resource_type"] == "model"}


@pytest.fixture(scope="module")
def catalog(built):
    return json.loads((built.artifacts / "catalog.json").read_text())


def own(nodes: dict) -> dict:
    return {id_: node for id_, node in nodes.items() if node["package_name"] == "retail_warehouse"}


def raw_sources(manifest: dict) -> list[str]:
    """All but the ledger and the predictions, which the project itself writes."""
    own = ("ledger", "predictions")
    return [id_ for id_, source in manifest["sources"].items() if source["source_name"] not in own]


def layer(id_: str, models: dict) -> str:
    return id_.split(".")[0] if not id_.startswith("model.") else models[id_]["path"].split("/")[0]


def test_names_tell_the_layer(models):
    wrong = [
        node["name"]
        for node in models.values()
        if not node["name"].startswith(PREFIXES.get(node["path"].split("/")[0], ""))
        or (node["path"].startswith("marts/") and node["name"].startswith(tuple(PREFIXES.values())))
    ]
    assert not wrong


def test_staging_models_are_named_after_their_source_table(models):
    for node in models.values():
        if node["path"].startswith("staging/"):
            [source] = [parent for parent in node["depends_on"]["nodes"] if parent.startswith("source.")]
            _, _, source_name, table = source.split(".")
            assert node["name"] == f"stg_{source_name}__{table}"
            assert node["path"].split("/")[1] == source_name


def test_layers_look_up_only(models):
    """Raw sources feed staging only, staging reads nothing else, marts never read staging, reports and features read
    marts, and predictions their own source."""
    allowed = {
        "staging": {"source"},
        "intermediate": {"staging", "intermediate", "seed"},
        "marts": {"intermediate", "marts"},
        "reports": {"marts"},
        "features": {"marts", "features"},
        "predictions": {"source", "features"},
        "audit": {"source", "staging", "intermediate", "features", "audit"},
    }
    for id_, node in models.items():
        parents = {layer(parent, models) for parent in node["depends_on"]["nodes"]}
        assert parents <= allowed[layer(id_, models)], node["name"]
        assert parents, f"{node['name']} has no parent"


def test_every_source_table_is_read_by_one_staging_model(manifest):
    for id_ in raw_sources(manifest):
        children = [child for child in manifest["child_map"][id_] if child.startswith("model.")]
        assert len(children) == 1, id_


def test_every_table_of_predictions_is_read_by_the_model_of_its_name(manifest, models):
    sources = [source for source in manifest["sources"].values() if source["source_name"] == "predictions"]
    assert sources
    for source in sources:
        children = [child for child in manifest["child_map"][source["unique_id"]] if child.startswith("model.")]
        assert [models[child]["name"] for child in children] == [source["name"]]
        assert [(column["name"], column["data_type"]) for column in source["columns"].values()] == [
            (column["name"], column["data_type"]) for column in models[children[0]]["columns"].values()
        ]


def test_every_model_and_seed_is_keyed(manifest, models):
    """`unique` and `not_null` on the columns under `meta.grain`, or on each part of a combination of them. `not_null`
    may be a part of `valid_values`. A view that only selects from a tested table, or joins it by foreign keys to tables
    whose keys are tested, or that a tested table only selects from, names it under `meta.tested_through`."""
    ids = {node["name"]: id_ for id_, node in models.items()}
    tests = {}
    for node in manifest["nodes"].values():
        if node["resource_type"] == "test" and node.get("attached_node"):
            arguments = node["test_metadata"]["kwargs"]
            columns = arguments.get("combination_of_columns") or [arguments.get("column_name")]
            tests.setdefault(node["attached_node"], set()).add((node["test_metadata"]["name"], tuple(columns)))
            tests[node["attached_node"]] |= {("not_null", (column,)) for column in arguments.get("not_null", {})}
            if node["test_metadata"]["name"] == "unique_row_numbers":
                tests[node["attached_node"]].add(("unique_combination_of_columns", ("file_name", "row_number")))
    seeds = {id_: node for id_, node in manifest["nodes"].items() if node["resource_type"] == "seed"}
    for id_, node in {**models, **seeds}.items():
        grain = node["config"]["meta"]["grain"]
        unique = "unique" if len(grain) == 1 else "unique_combination_of_columns"
        wanted = {(unique, tuple(grain))} | {("not_null", (column,)) for column in grain}
        through = [ids[name] for name in node["config"]["meta"].get("tested_through", [])]
        neighbours = {*manifest["parent_map"][id_], *manifest["child_map"][id_]}
        assert set(through) <= neighbours, node["name"]
        assert not through or node["config"]["materialized"] == "view", node["name"]
        for tested in through or [id_]:
            assert wanted <= tests[tested], f"{node['name']}: {wanted - tests[tested]}"


def test_every_foreign_key_is_tested(manifest, models):
    """A column named like the key of an entity refers to that entity."""
    keys = {
        node["config"]["meta"]["grain"][0]: node["name"]
        for node in models.values()
        if node["path"].startswith("marts/")
        and len(node["config"]["meta"]["grain"]) == 1
        and "fct_" not in node["name"]
    }
    tested = {
        (node["attached_node"], node["test_metadata"]["kwargs"]["column_name"])
        for node in manifest["nodes"].values()
        if node["resource_type"] == "test" and node.get("test_metadata", {}).get("name") == "relationships"
    }
    for id_, node in models.items():
        through = node["config"]["meta"].get("tested_through")
        if node["path"].startswith(("marts/", "reports/", "features/", "predictions/")) and not through:
            foreign = {column for column in node["columns"] if column in keys and keys[column] != node["name"]}
            assert {(id_, column) for column in foreign} <= tested, node["name"]


def test_descriptions(manifest, models):
    for node in [*models.values(), *manifest["sources"].values()]:
        assert node["description"].startswith("One row per "), node["name"]
        for column in node["columns"].values():
            assert column["description"].strip(), f"{node['name']}.{column['name']}"
    for node in own(manifest["nodes"]).values():
        if node["resource_type"] == "analysis" or (node["resource_type"] == "test" and "test_metadata" not in node):
            assert node["description"], node["name"]


def test_yaml_columns_are_sql_columns(manifest, models, catalog):
    """In the same order: nothing described that is not there, nothing there that is not described."""
    built = {**catalog["nodes"], **catalog["sources"]}
    for id_, node in {**models, **manifest["sources"]}.items():
        assert [*node["columns"]] == [*built[id_]["columns"]], node["name"]


def test_what_others_read_is_under_contract(models):
    for node in models.values():
        if node["path"].startswith(PUBLISHED):
            assert node["config"]["contract"]["enforced"], node["name"]
            for column in node["columns"].values():
                assert column["data_type"], f"{node['name']}.{column['name']}"
                if re.match("numeric|varchar|decimal", column["data_type"]):
                    assert "(" in column["data_type"], f"{node['name']}.{column['name']} has no size"


def test_every_macro_and_argument_is_documented(manifest):
    for macro in own(manifest["macros"]).values():
        name = macro["name"]
        file_name = macro["original_file_path"].split("/")[-1].removesuffix(".sql")
        if "__" in name:  # a branch of a dispatched macro stands beside it
            assert name.split("__")[1] == file_name
            continue
        assert file_name == name.removeprefix("test_"), f"{name} stands in {file_name}.sql"
        assert macro["description"], name
        if name.startswith("test_"):  # dbt does not read the arguments of a test block
            source = (PROJECT / macro["original_file_path"]).read_text()
            arguments = re.search(r"{% test \w+\((.*?)\) %}", source)[1]
            for argument in re.findall(r"\w+(?==|,|$)", re.sub(r"=\w+", "", arguments)):
                assert f"`{argument}`" in macro["description"], f"{name}: {argument}"
        else:
            for argument in macro["arguments"]:
                assert argument["description"], f"{name}: {argument['name']}"
                assert argument["type"], f"{name}: {argument['name']}"


def project_sources(*patterns: str) -> str:
    return "\n".join(path.read_text() for pattern in patterns for path in sorted(PROJECT.glob(pattern)))


def test_gates_stop_every_mart(manifest, models):
    """dbt lets a test stop a model only if all that the test reads is upstream of the model."""
    nodes = manifest["nodes"]

    def upstream(id_: str) -> set[str]:
        parents = set(nodes.get(id_, {}).get("depends_on", {}).get("nodes", []))
        return parents.union(*(upstream(parent) for parent in parents))

    gates = [set(node["depends_on"]["nodes"]) for node in nodes.values() if "within_limit" in node["name"]]
    sources = {id_.split(".")[2] for id_ in raw_sources(manifest)}
    assert len(gates) == len(sources)
    for id_, node in models.items():
        if node["path"].startswith("marts/"):
            assert any(gate <= upstream(id_) for gate in gates), f"no gate stops {node['name']}"
    counted = set().union(*(upstream(id_) for gate in gates for id_ in gate))
    rejected = {id_ for id_ in models if re.search(r"\.int_\w+_rejected$", id_)}
    assert rejected <= counted


def test_models_that_process_files_say_by_what(models):
    """By one of their columns, or that they are always built whole. No table that does not say it may stand between
    two that do, since it could lag behind."""
    above = {
        id_: [parent for parent in node["depends_on"]["nodes"] if parent in models] for id_, node in models.items()
    }
    keys = {id_: node["config"]["meta"].get("processed_by") for id_, node in models.items()}
    for id_, node in models.items():
        is_incremental = node["config"]["materialized"] == "incremental"
        assert keys[id_] in node["columns"] if is_incremental else keys[id_] in (None, "whole_table"), node["name"]
    between = [parent for id_ in models if keys[id_] for parent in above[id_]]
    for id_ in between:
        if not keys[id_]:
            assert models[id_]["config"]["materialized"] == "view", models[id_]["name"]
            between += above[id_]


def test_the_ledger_holds_the_files_that_the_lineage_says(built, manifest, models):
    """Each model has entries for the raw tables that it is built from, however far above."""

    def raw_tables(id_: str) -> set[str]:
        parents = models[id_]["depends_on"]["nodes"]
        tables = {parent for parent in parents if parent in raw_sources(manifest)}
        return tables.union(*(raw_tables(parent) for parent in parents if parent in models))

    entered = {}
    with contextlib.closing(duckdb.connect(str(built.warehouse), read_only=True)) as connection:
        entries = connection.execute("select model_name, source_name, table_name from audit.processed_files").fetchall()
    for name, source, table in entries:
        entered.setdefault(name, set()).add(f"source.retail_warehouse.{source}.{table}")
    # The sample has no streamed rows.
    without_files = {"source.retail_warehouse.online_retail.streamed_lines"}
    wanted = {
        node["name"]: raw_tables(id_) - without_files
        for id_, node in models.items()
        if "processed_by" in node["config"]["meta"]
    }
    assert entered == {name: tables for name, tables in wanted.items() if tables}


def test_a_where_leaves_the_restriction_to_new_rows_in_place(manifest):
    """A `where` of a test's own takes the place of that in dbt_project.yml."""
    tests = [node for node in manifest["nodes"].values() if "test_metadata" in node]
    assert tests
    for node in tests:
        assert "__untested_rows__" in node["config"]["where"], node["name"]


def circle(calls: dict[str, set[str]]) -> list[str]:
    """Folders that call each other in a circle, if any do."""
    try:
        graphlib.TopologicalSorter(calls).prepare()
    except graphlib.CycleError as error:
        return error.args[1]
    return []


def folder_calls(macros: dict) -> dict[str, set[str]]:
    """The folders of macros, each with those of the macros that it calls; a dispatched macro calls its branches."""
    folders = {id_: macro["original_file_path"].rpartition("/")[0] for id_, macro in macros.items()}
    calls = {folder: set() for folder in folders.values()}
    for id_, macro in macros.items():
        called = {folders[other] for other in macro["depends_on"]["macros"] if other in macros}
        calls[folders[id_]] |= called - {folders[id_]}
    return calls


def test_macro_folders_do_not_call_each_other_in_a_circle(manifest):
    macros = {
        id_: macro
        for id_, macro in own(manifest["macros"]).items()
        if macro["original_file_path"].startswith("macros/")
    }
    calls = folder_calls(macros)
    assert "macros/raw/lines" in calls["macros/raw"], "the calls are read"
    assert not circle(calls)
    # One call back closes a circle.
    calling = macros["macro.retail_warehouse.csv_fields"]
    macros[calling["unique_id"]] = calling | {"depends_on": {"macros": ["macro.retail_warehouse.renew_raw_views"]}}
    assert set(circle(folder_calls(macros))) == {"macros/raw", "macros/raw/lines"}


def test_a_model_whose_query_is_a_macro_says_so():
    """In one line, by which `make lint` finds the macro."""
    found = set()
    for path in (PROJECT / "models").rglob("*.sql"):
        text = path.read_text()
        said = re.findall(
            r"^{# All of its SQL is in macros/\S+?(\w+_query)\.sql, which is linted as this model. #}", text
        )
        sql = re.sub(r"{#.*?#}|{%.*?%}|--[^\n]*", "", text, flags=re.DOTALL)
        called = re.fullmatch(r"\s*{{ (\w+)\([^{}]*({[^{}]*}[^{}]*)*\) }}\s*", sql)
        assert said == ([called[1]] if called else []), path.name
        found.update(said)
    assert {f"{name}.sql" for name in found} <= {path.name for path in (PROJECT / "macros").rglob("*_query.sql")}
    assert found


def test_vars_used_are_vars_declared():
    text = project_sources("models/**/*.sql", "models/**/*.yml", "macros/**/*.sql", *DATA_TESTS, "analyses/*.sql")
    used = set(re.findall(r"\bvar\(\s*['\"](\w+)", text))
    settings = set(re.findall(r"^ {12}'(\w+)': \{'type'", project_sources("macros/project/settings.sql"), re.MULTILINE))
    declared = set(yaml.safe_load((PROJECT / "dbt_project.yml").read_text())["vars"])
    assert used | settings == declared
    assert settings == declared, "macros/project/settings.sql says what each var may be"


def test_engine_differences_live_in_macros():
    text = project_sources("models/**/*.sql", "models/**/*.yml", *DATA_TESTS, "analyses/*.sql")
    # Where the ledger is kept on a shared development cluster; no macro can be called there.
    text = text.replace("target.schema ~ '_audit' if target.name == 'redshift_dev' else 'audit'", "")
    assert not re.search(r"target\s*\.\s*(type|name)|adapter\s*\.\s*dispatch", text)


def test_text_literals_have_a_type():
    """On Redshift a bare one is of type unknown in what reads it: no join, no grouping."""
    text = project_sources(
        "models/**/*.sql", "macros/intermediate/*.sql", "macros/staging/*.sql", "macros/incremental/*.sql"
    )
    assert "as varchar(100)) as table_name" in text
    assert re.findall(r"(?:^|select|,) *'[^'\n]*' as \w+", text, flags=re.MULTILINE) == []


def test_models_read_nothing_but_refs_and_sources():
    text = project_sources("models/**/*.sql", "tests/singular/**/*.sql", "analyses/*.sql")
    assert not re.search(r"\b(from|join)\s+(read_|'|\"|\w+\.\w)", text)


def calculations(node: dict) -> set[str]:
    """Kinds of calculation in a model's SQL, constants and the Jinja of keys left aside."""
    tree = sqlglot.parse_one(node["compiled_code"], dialect="duckdb")
    kinds = (exp.Case, exp.Window, exp.AggFunc, exp.Add, exp.Sub, exp.Mul, exp.Div, exp.TryCast, exp.Cast)
    return {
        type(found).__name__
        for found in tree.find_all(*kinds)
        # A literal with its type is a constant.
        if not (isinstance(found, exp.Cast) and isinstance(found.this, exp.Literal))
    }


def test_what_runs_often_has_no_reports(dbt):
    for selector in ("new_orders", "micro_batch"):
        outcome = dbt("ls", "--quiet", "--selector", selector, "--resource-types", "model", "test", "--output", "name")
        assert outcome.ok, outcome.output
        assert outcome.output.strip()
        assert not re.findall(r".*rpt_.*|.*_reports_.*", outcome.output)


def test_every_calculation_has_a_unit_test(manifest, models):
    tested = {node["depends_on"]["nodes"][0] for node in manifest["unit_tests"].values()}
    untested = {
        node["name"]: sorted(calculations(node))
        for id_, node in models.items()
        if calculations(node) and id_ not in tested
    }
    assert not untested


def test_the_search_for_calculations_finds_them():
    for sql, kind in {
        "select case when a then 1 end from t": "Case",
        "select a + 1 from t": "Add",
        "select row_number() over (order by a) from t": "Window",
        "select max(a) from t": "Max",
        "select a from t having count(*) > 1": "Count",
        "select cast(a as int) from t": "Cast",
    }.items():
        assert kind in calculations({"compiled_code": sql}), sql
    assert calculations({"compiled_code": "select a, cast('x' as text) as b from t where a > 1"}) == set()


def test_no_generated_or_foreign_files():
    import subprocess

    tracked = subprocess.run(["git", "ls-files"], cwd=PROJECT, capture_output=True, text=True, check=True).stdout.split(
        "\n"
    )
    if tracked == [""]:
        pytest.skip("not a git checkout")
    for name in filter(None, tracked):
        path = PROJECT / name
        if not path.exists():
            continue
        assert path.stat().st_size <= 1_000_000, name
        assert not name.endswith((".duckdb", ".parquet", ".pyc")), name


def test_locks_name_no_host_and_every_hash():
    for name in ("requirements.txt", "requirements-dev.txt"):
        text = (PROJECT / name).read_text()
        assert "://" not in text
        assert "dbt-core-experimental-parser" not in text
        packages = re.findall(r"^\S+==\S+ .*?(?=^\S|\Z)", text, re.MULTILINE | re.DOTALL)
        assert len(packages) > 50
        assert all("--hash=sha256:" in package for package in packages)
    core = set(re.findall(r"^(\S+==\S+)", (PROJECT / "requirements.txt").read_text(), re.MULTILINE))
    development = set(re.findall(r"^(\S+==\S+)", (PROJECT / "requirements-dev.txt").read_text(), re.MULTILINE))
    assert core <= development
    pyproject = (PROJECT / "pyproject.toml").read_text()
    for pinned in re.findall(r'"(dbt-\w+==[\w.]+|duckdb==[\w.]+)"', pyproject):
        assert pinned in core


def test_layers_are_complete(models):
    assert {node["path"].split("/")[0] for node in models.values()} == set(LAYERS) - {"source"}


def test_what_tests_select_leaves_out_nothing_of_the_default_build(dbt):
    def listed(*arguments: str) -> set[str]:
        outcome = dbt("ls", "--quiet", "--resource-types", "model", "seed", "test", "--output", "name", *arguments)
        assert outcome.ok, outcome.output
        return set(outcome.output.split())

    of_each = [listed(*selected, *TESTS_OF_BOTH) for selected in (INSTACART, ONLINE_RETAIL)]
    reports = listed("--selector", "reports")
    assert set().union(*of_each) | reports == listed()
    assert not set().union(*of_each) & reports
    assert len(of_each[0] & of_each[1]) < len(of_each[0])


def test_there_is_one_way_to_call_dbt():
    """The README says once that the environment is activated; from there on, commands stand as one types them."""
    readme = (PROJECT / "README.md").read_text()
    [activated] = [match.start() for match in re.finditer(r"^source \.venv/bin/activate\b", readme, re.MULTILINE)]
    # Within blocks of the console: dbt itself, or after variables.
    assert activated < re.search(r"^(\w+=\S+ )*(dbt|retail-warehouse) ", readme, re.MULTILINE).start()
    pages = [PROJECT / "README.md", PROJECT / "CONTRIBUTING.md", *(PROJECT / "docs").glob("*.md")]
    programs = [*(PROJECT / "retail_warehouse").rglob("*.py"), *(PROJECT / "macros").rglob("*.sql")]
    for path in [*pages, *programs, *(PROJECT / "models").rglob("*.md"), PROJECT / "profiles.yml.example"]:
        text = path.read_text().replace("source .venv/bin/activate", "")
        assert ".venv/bin/" not in text, path
        assert not re.search(r"(poetry|pipx) run|python3? -m dbt", text), path
        # A command for people without make, in the README.
        assert "uv run" not in text or path.name == "README.md", path
    makefile = (PROJECT / "Makefile").read_text()
    assert "$(BIN)" not in "".join(re.findall(r"^.*\becho\b.*$", makefile, re.MULTILINE))


def test_uv_installs_what_the_makefile_does_and_leaves_no_host_behind():
    pyproject = tomllib.loads((PROJECT / "pyproject.toml").read_text())
    assert pyproject["tool"]["uv"]["default-groups"] == ["build"]
    assert "dbt-core-experimental-parser" in pyproject["tool"]["uv"]["exclude-dependencies"]
    assert "uv.lock" in (PROJECT / ".gitignore").read_text().splitlines()
    assert "`uv run dbt build`" in (PROJECT / "README.md").read_text()
    for lock in PROJECT.glob("requirements*.txt"):
        text = lock.read_text()
        assert "://" not in text, lock
        assert "dbt-core-experimental-parser" not in text, lock
        assert text.count("==") <= text.count("--hash=sha256:"), lock


def test_what_the_makefile_imports_is_there():
    imports = re.findall(r"from (retail_warehouse[\w.]*) import (\w+)", (PROJECT / "Makefile").read_text())
    assert imports
    for module, name in imports:
        assert hasattr(importlib.import_module(module), name), f"{module}.{name}"
