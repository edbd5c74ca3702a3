"""The documentation as people browse it: one file, moved away from the project, in a real browser."""

import json
import re
import shutil
from urllib.parse import unquote

import duckdb
import pytest
from conftest import PROJECT
from shared.browser import needs_a_browser

from retail_warehouse import docs_site
from retail_warehouse.dashboard import source

# The query makes the browser load the page anew, which is when it looks at the selection.
LINKS = re.findall(r"\]\((\?view=\w+#!/overview\?[^)]*)\)", (PROJECT / "models/overview.md").read_text())
LAYERS = ("staging", "intermediate", "marts", "reports", "features", "predictions", "audit")
# Words that people search for, and the model that answers.
WORDS = {
    "revenue": "rpt_monthly_totals",
    "revenue by month": "rpt_monthly_totals",
    "churn": "rpt_customer_rfm",
    "customer": "customers",
    "best customers": "rpt_customer_rfm",
    "retention": "rpt_cohort_retention",
    "best seller": "rpt_stock_item_performance",
    "best sellers": "rpt_product_performance",
    "basket": "rpt_basket_sizes",
    "basket analysis": "rpt_product_pairs",
    "affinity": "rpt_stock_item_pairs",
    "basket size": "fct_orders",
}


@pytest.fixture
def documentation(built, tmp_path, watched):
    page = tmp_path / "moved" / "documentation.html"
    page.parent.mkdir()
    shutil.copy(built.artifacts / "static_index.html", page)
    docs_site.rearrange(page)
    docs_site.rearrange(page)
    assert page.read_text().count('<style id="retail-warehouse">') == 1
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
        found = tab.evaluate(f"words => {search}.map(found => found.model.name)", words)
        assert model in found, words
        # The list is in no order of use, so that it has to be short, but for words that are everywhere.
        assert words in ("customer", "basket", "basket size") or len(found) <= 10, f"{words}: {found}"
    shown = [node for node in nodes(tab, LINKS[0]) if not node.get("hidden")]
    assert {"rpt_monthly_totals", "rpt_monthly_sales", "fct_sales"} <= {node["name"] for node in shown}
    assert {node["resource_type"] for node in shown} == {"model", "source", "seed"}
    assert not {node["name"] for node in shown} & {node["name"] for node in hidden(built)}
    assert all(node["node_color"] for node in shown if node["resource_type"] == "model")


@needs_a_browser
def test_a_page_begins_with_what_the_table_is(documentation):
    tab = documentation
    tab.evaluate("window.location.hash = '#!/model/model.retail_warehouse.orders'")
    tab.wait_for_selector("text=One row per order")
    [(about, details, shown)] = tab.evaluate("""() => {
        const top = id => document.querySelector(`.section:has(> #${id})`).getBoundingClientRect().top;
        const meta = document.querySelector('.detail-group[ng-if="hasData(meta)"]');
        return [[top("description"), top("details"), meta && meta.getBoundingClientRect().height]];
    }""")
    assert about < details
    # It is there, for `orders` has a grain and a ledger, and out of sight.
    assert shown == 0


def hidden(built) -> list[dict]:
    nodes = json.loads(built.manifest.read_text())["nodes"].values()
    return [node for node in nodes if not node["docs"]["show"]]


def test_views_are_of_models_and_what_is_above_them(built):
    """So that no test and no exposure, which stand below, is among them."""
    models = {node["name"] for node in json.loads(built.manifest.read_text())["nodes"].values()}
    rows = re.findall(r"^\| [A-Z].*\? \|.*$", (PROJECT / "models/overview.md").read_text(), re.MULTILINE)
    assert len(rows) == len(LINKS) >= 15, "a question has one lineage"
    for row in rows:
        tables = re.findall(r"\(#!/model/model[.]retail_warehouse[.](\w+)\)", row)
        assert tables, row
        assert set(tables) <= models, row
        assert re.search("g_i=([^)]*)", row)[1] == "%20".join(f"%2B{table}" for table in tables), row
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
