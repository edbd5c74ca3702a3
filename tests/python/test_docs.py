"""The documentation as people browse it: one file, moved away from the project, in a real browser."""

import json
import re
import shutil
import subprocess
import sys
from urllib.parse import unquote

import duckdb
import pytest
from conftest import PROJECT
from test_dashboard import Watched, chromium, dashboard_picture, needs_a_browser, watched  # noqa: F401

from retail_warehouse.dashboard import source

# The query makes the browser load the page anew, which is when it looks at the selection.
LINKS = re.findall(r"\]\((\?view=\w+#!/overview\?[^)]*)\)", (PROJECT / "models/overview.md").read_text())
LAYERS = ("staging", "intermediate", "marts", "reports", "features", "predictions", "audit")
# Words that people search for, and the model that answers.
WORDS = {
    "revenue": "rpt_monthly_totals",
    "churn": "rpt_customer_rfm",
    "retention": "rpt_cohort_retention",
    "best seller": "rpt_stock_item_performance",
    "best sellers": "rpt_product_performance",
    "basket": "rpt_product_pairs",
    "affinity": "rpt_stock_item_pairs",
    "basket size": "fct_orders",
}


@pytest.fixture
def documentation(built, tmp_path, watched):  # noqa: F811
    page = tmp_path / "moved" / "documentation.html"
    page.parent.mkdir()
    shutil.copy(built.artifacts / "static_index.html", page)
    watched.tab.goto(page.as_uri())
    watched.tab.wait_for_selector("text=Start here")
    return watched.tab


GRAPH = "angular.element(document.body).injector().get('graph').graph.elements"


def nodes(tab, link):
    """What a click on a link of the overview shows."""
    tab.click(f'a[href="{link}"]')
    # All is there first, and then the selection.
    ready = "window.angular && angular.element(document.body).injector()"
    tab.wait_for_function(f"{ready} && 0 < {GRAPH}.length && {GRAPH}.length < 100", timeout=120_000)
    found = tab.evaluate(f"{GRAPH}.map(element => element.data)")
    return [node for node in found if node.get("resource_type")]


@needs_a_browser
def test_picture_search_and_a_view_of_the_moved_file(documentation, built):
    tab = documentation
    picture = "img[alt='Entity-relationship diagram']"
    tab.wait_for_selector(picture)
    assert tab.evaluate(f'document.querySelector("{picture}").naturalWidth') > 500
    for words, model in WORDS.items():
        search = "angular.element(document.body).injector().get('project').search(words)"
        assert model in tab.evaluate(f"words => {search}.map(found => found.model.name)", words), words
    shown = [node for node in nodes(tab, LINKS[0]) if not node.get("hidden")]
    assert {"rpt_monthly_totals", "rpt_monthly_sales", "fct_sales"} <= {node["name"] for node in shown}
    assert {node["resource_type"] for node in shown} == {"model", "source", "seed"}
    assert not {node["name"] for node in shown} & {node["name"] for node in hidden(built)}
    assert all(node["node_color"] for node in shown if node["resource_type"] == "model")


def hidden(built) -> list[dict]:
    nodes = json.loads(built.manifest.read_text())["nodes"].values()
    return [node for node in nodes if not node["docs"]["show"]]


def test_views_are_of_models_and_what_is_above_them(built):
    """So that no test and no exposure, which stand below, is among them."""
    models = {node["name"] for node in json.loads(built.manifest.read_text())["nodes"].values()}
    assert len(LINKS) >= 7
    for link in LINKS:
        selected = unquote(re.search("g_i=(.*)", link)[1]).split()
        assert all(one.startswith("+") for one in selected)
        assert {one[1:] for one in selected} <= models, link
    assert {node["name"] for node in hidden(built)} == {
        "stg_instacart__data_files",
        "stg_online_retail__data_files",
        "int_users_damaged",
        "int_instacart_rejections_counted",
        "int_online_retail_rejections_counted",
    }


def test_every_layer_has_a_colour(built):
    colours = {}
    for node in json.loads(built.manifest.read_text())["nodes"].values():
        if node["resource_type"] == "model":
            colours.setdefault(node["fqn"][1], set()).add(node["config"]["docs"]["node_color"])
    assert set(colours) == set(LAYERS)
    assert all(len(of_layer) == 1 for of_layer in colours.values())
    assert len(set.union(*colours.values()) - {None}) == len(LAYERS)


def test_bi_tools_see_the_descriptions(built):
    with duckdb.connect(str(built.warehouse), read_only=True) as connection:
        for node in json.loads(built.manifest.read_text())["nodes"].values():
            if node["resource_type"] == "model" and node["fqn"][1] in ("marts", "reports"):
                columns = dict(
                    connection.execute(
                        "select column_name, comment from duckdb_columns() where schema_name = ? and table_name = ?",
                        [node["schema"], node["name"]],
                    ).fetchall()
                )
                assert columns == {name: column["description"] for name, column in node["columns"].items()}
                [(comment,)] = connection.execute(
                    "select comment from (select schema_name, table_name, comment from duckdb_tables()"
                    " union all select schema_name, view_name, comment from duckdb_views())"
                    " where schema_name = ? and table_name = ?",
                    [node["schema"], node["name"]],
                ).fetchall()
                assert comment == node["description"]


def test_words_lead_to_the_right_model(built):
    """The same without a browser: a description says the word."""
    models = {node["name"]: node for node in json.loads(built.manifest.read_text())["nodes"].values()}
    for words, model in WORDS.items():
        assert words in models[model]["description"].lower() or words in str(models[model]["columns"]).lower(), words


def test_pages_hold_what_the_workflow_publishes():
    makefile = (PROJECT / "Makefile").read_text()
    workflow = (PROJECT / ".github/workflows/pages.yml").read_text()
    assert "run: make pages" in workflow
    assert "path: target/pages" in workflow
    for name in ("index.html", "lineage.html", "dashboard.html"):
        assert f"target/pages/{name}" in makefile
    overview = (PROJECT / "models/overview.md").read_text()
    assert {"lineage.html", "dashboard.html"} <= set(re.findall(r"\]\((\w+\.html)\)", overview))


def test_the_python_of_the_page_on_bi_tools_runs(built, tmp_path):
    """Every block of it and every line of the console that needs no server."""
    text = (PROJECT / "docs/bi-tools.md").read_text()
    shutil.copy(built.warehouse, tmp_path / "warehouse.duckdb")
    [block] = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    [line] = re.findall(r'^python -c "(.*)"', text, re.MULTILINE)
    for code, told in ((block, "December 2010: "), (line, "")):
        done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert done.stdout.startswith(told)
    assert (tmp_path / "monthly_sales.csv").read_text().startswith("sales_month,country,gross_amount")


def test_exposures_name_what_reads_the_warehouse(built):
    exposures = {node["name"]: node for node in json.loads(built.manifest.read_text())["exposures"].values()}
    assert {"dashboard", "monthly_sales_notebook", "transactions_api", "sales_workbook"} <= set(exposures)
    for exposure in exposures.values():
        assert exposure["owner"]["name"]
        assert exposure["description"]
        assert exposure["depends_on"]["nodes"]
    # All that the dashboard reads, and nothing else.
    queries = "\n".join(source.QUERIES.values())
    read = {*re.findall(r"\{reports\}\.(\w+)", queries), *re.findall(r"\{audit\}\.(\w+)", queries)}
    assert {id_.split(".")[-1] for id_ in exposures["dashboard"]["depends_on"]["nodes"]} == read
