"""The dashboard in a real browser, opened from disk."""

import re
import shutil
import time

import dashboard_picture
import duckdb
import pytest
from click.testing import CliRunner
from conftest import PROJECT
from PIL import Image
from shared.browser import needs_a_browser

from retail_warehouse.cli import main
from retail_warehouse.dashboard import charts, page, source

CHARTS = [make for line in charts.SECTIONS.values() for make in line]


def write(warehouse, out, *arguments):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WAREHOUSE_PATH", str(warehouse))
        patch.setenv("DBT_TARGET_PATH", str(out.parent))
        return CliRunner().invoke(main, ["dashboard", "--out", str(out), *arguments])


@pytest.fixture(scope="module")
def dashboard(built, tmp_path_factory):
    """The page of the sample."""
    out = tmp_path_factory.mktemp("dashboard") / "new" / "dashboard.html"
    started = time.perf_counter()
    outcome = write(built.warehouse, out)
    assert outcome.exit_code == 0, outcome.output
    assert time.perf_counter() - started < 20
    return out


def test_one_small_file_that_asks_nobody(dashboard):
    text = dashboard.read_text()
    assert len(text.encode()) <= 2_000_000
    text = re.sub(r"<script.*?</script>", "", text, flags=re.DOTALL)
    assert not re.search(r"<(script|link|img|iframe)[^>]+(src|href)=[\"'](?!data:)", text)
    assert "@import" not in text
    assert "<main" in text
    assert list(dashboard.parent.iterdir()) == [dashboard]


@needs_a_browser
def test_every_chart_is_drawn_and_has_its_table(dashboard, watched):
    tab = watched.open(dashboard)
    figures = tab.query_selector_all("figure")
    assert len(figures) == len(CHARTS) >= 12
    drawn = 0
    for figure in figures:
        name = figure.get_attribute("id")
        # Marks, not axes: https://vega.github.io/vega/docs/marks/
        marks = "[class*='mark-'][class*='role-mark'] :is(path, text, line, image)"
        if figure.query_selector(".drawn"):
            assert len(figure.query_selector_all(marks)) > 0, name
            drawn += 1
        if name != "rejections":  # the sample has none
            assert len(figure.query_selector_all("tbody tr")) > 0, name
    assert drawn == len(CHARTS) - 3
    assert watched.seen == []
    # The watch sees: a request is refused by the page itself, and told.
    assert tab.evaluate("fetch('http://127.0.0.1:9/').then(() => 'sent', () => 'refused')") == "refused"
    assert any("Content Security Policy" in line for line in watched.seen)


@needs_a_browser
def test_headline_figures_equal_sql(dashboard, built, watched):
    tab = watched.open(dashboard)
    with duckdb.connect(str(built.warehouse), read_only=True) as connection:
        [(month, last)] = connection.execute(
            "select max(month) filter (last_day(month) <= last), last"
            " from (select date_trunc('month', invoice_date) as month from online_retail.fct_sales),"
            " (select max(invoiced_at)::date as last from online_retail.invoice_lines) group by last"
        ).fetchall()
        sold = f"online_retail.fct_sales where date_trunc('month', invoice_date) = '{month}'"
        cancelled = f"online_retail.fct_cancellations where date_trunc('month', invoice_date) = '{month}'"
        figures = {
            "gross_amount": f"select sum(line_amount) from {sold}",
            "net_amount": f"select (select sum(line_amount) from {sold}) + (select sum(line_amount) from {cancelled})",
            "invoice_count": f"select count(distinct invoice_no) from {sold}",
            "customer_count": f"select count(distinct customer_id) from {sold} and customer_id <> 'Unknown'",
            "units": f"select sum(quantity) from {sold}",
            "orders": "select count(*) from instacart.orders",
            "users": "select count(*) from instacart.users",
            "items": "select count(*) from instacart.order_products",
            "raw_rows": "select sum(raw_rows) from audit.row_reconciliation",
            "rejected_rows": "select count(*) from audit.rejected_rows",
        }
        for name, sql in figures.items():
            [(value,)] = connection.execute(sql).fetchall()
            shown = tab.query_selector(f"#figure-{name}")
            assert float(shown.get_attribute("data-value")) == float(value), name
            assert re.sub(r"[£,]", "", shown.inner_text()) == f"{value:.0f}", name
    assert last is not None
    assert "+" in tab.inner_text(".figures") or "-" in tab.inner_text(".figures")


@needs_a_browser
def test_search_keyboard_phone_dark_and_print(dashboard, watched):
    tab = watched.open(dashboard)
    field = tab.query_selector("#product_pairs input")
    rows = "#product_pairs tbody tr"
    first = tab.query_selector(f"{rows} td").inner_text()
    total = len(tab.query_selector_all(rows))
    field.fill(first.upper())
    shown = [row.inner_text() for row in tab.query_selector_all(rows) if row.is_visible()]
    assert 0 < len(shown) < total
    assert all(first.lower() in row.lower() for row in shown)
    assert f"{len(shown)} of {total} rows" in tab.inner_text("#product_pairs")
    # By keyboard: the table behind a chart opens.
    tab.focus("#times summary")
    tab.keyboard.press("Enter")
    assert tab.is_visible("#table-times")
    # A phone: nothing is wider than the screen.
    tab.set_viewport_size({"width": 360, "height": 740})
    assert tab.evaluate("document.documentElement.scrollWidth") <= 360
    label = "#draw-times text"
    light = tab.evaluate("s => getComputedStyle(document.querySelector(s)).fill", label)
    tab.emulate_media(color_scheme="dark")
    tab.wait_for_function(
        "([s, light]) => getComputedStyle(document.querySelector(s)).fill !== light", arg=[label, light]
    )
    tab.emulate_media(media="print", color_scheme="light")
    assert not tab.is_visible("nav")
    assert tab.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert watched.seen == []
    # Whoever cannot see a chart is told where its figures are.
    for drawn in tab.query_selector_all(".drawn"):
        assert "table below" in drawn.get_attribute("aria-label")


@needs_a_browser
@pytest.mark.parametrize("emptied", ["no rows", "no tables"])
def test_an_empty_warehouse_has_no_data_and_no_error(built, tmp_path, watched, emptied):
    warehouse = tmp_path / "warehouse.duckdb"
    if emptied == "no rows":
        shutil.copy(built.warehouse, warehouse)
    with duckdb.connect(str(warehouse)) as connection:
        for (table,) in connection.execute(
            "select schema_name || '.' || table_name from duckdb_tables() where schema_name in ('reports', 'audit')"
        ).fetchall():
            connection.execute(f"delete from {table}")
    out = tmp_path / "dashboard.html"
    outcome = write(warehouse, out)
    assert outcome.exit_code == 0, outcome.output
    tab = watched.open(out)
    assert len(tab.query_selector_all("figure .none")) == len(CHARTS)
    assert tab.query_selector_all("section > .none")[0].inner_text() == "No data"
    assert ("not built yet" in tab.inner_text("header")) == (emptied == "no tables")
    assert watched.seen == []


@needs_a_browser
def test_text_of_the_data_is_never_run(built, tmp_path, watched):
    warehouse = tmp_path / "warehouse.duckdb"
    shutil.copy(built.warehouse, warehouse)
    evil = "</script><script>alert(1)</script><img src=x onerror=alert(2)>"
    with duckdb.connect(str(warehouse)) as connection:
        connection.execute("update reports.rpt_department_performance set department = ? || department", [evil])
        connection.execute("update reports.rpt_product_pairs set product_name_a = ?", [evil])
    out = tmp_path / "dashboard.html"
    assert write(warehouse, out).exit_code == 0
    tab = watched.open(out)
    assert tab.query_selector("#product_pairs td").inner_text() == evil
    assert watched.seen == []


def test_months_that_cannot_be_compared(built):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WAREHOUSE_PATH", str(built.warehouse))
        data = source.read()
    months = data.rows["months"]
    whole = [row for row in months if row["is_complete_month"]]
    assert page.months_compared(data) == (whole[-1], whole[-2])
    for row in months[:-2]:
        row["is_complete_month"] = False
    months[-2]["is_complete_month"], months[-1]["is_complete_month"] = True, False
    assert page.months_compared(data) == (months[-2], None)
    assert all(figure.change is None for figure in page.headlines(data)["Online Retail"])
    months[-2]["is_complete_month"] = False
    assert page.months_compared(data) == (months[-1], None)
    data.rows["months"] = []
    assert page.headlines(data)["Online Retail"] == []


def test_fifty_years_are_still_one_small_file(built):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WAREHOUSE_PATH", str(built.warehouse))
        data = source.read()
    months = [f"{year}-{month:02}-01" for year in range(1990, 2040) for month in range(1, 13)]
    for name, column in (("months", "sales_month"), ("cohorts", "cohort_month")):
        data.rows[name] = [data.rows[name][0] | {column: month} for month in months]
    data.rows["cohorts"] = [
        row | {"months_since_first": since}
        for place, row in enumerate(data.rows["cohorts"])
        for since in range(len(months) - place)
    ]
    html = page.render(data)
    assert len(html.encode()) <= 2_000_000
    assert f"The latest {charts.LATEST_COHORTS} of 600 cohorts." in html


@pytest.mark.parametrize(
    ("value", "form", "text"),
    [
        (None, ",d", "–"),
        (0, ",d", "0"),
        (1234567, ",d", "1,234,567"),
        (-1234.5, "£,.0f", "-£1,234"),
        (0.125, ".1%", "12.5 %"),
        (1.005, ",.2f", "1.00"),
        ("a", "", "a"),
    ],
)
def test_figures_are_written_for_people(value, form, text):
    assert page.written(value, form) == text


def test_what_is_wrong_is_told(tmp_path, built, monkeypatch):
    out = tmp_path / "dashboard.html"
    missing = write(tmp_path / "nowhere.duckdb", out)
    assert missing.exit_code == 1
    assert "There is no warehouse" in missing.output
    assert "run dbt build first" in missing.output
    (tmp_path / "text.duckdb").write_text("no database")
    assert "cannot be read" in write(tmp_path / "text.duckdb", out).output
    monkeypatch.chdir(PROJECT)
    shutil.copy(PROJECT / "profiles.yml.example", tmp_path / "profiles.yml")
    monkeypatch.setenv("DBT_PROFILES_DIR", str(tmp_path))
    assert "is a DuckDB file" in write(built.warehouse, out, "--target", "dev").output
    assert "REDSHIFT_HOST" in write(built.warehouse, out, "--target", "prod").output
    assert "nobody" in write(built.warehouse, out, "--target", "nobody").output
    assert not out.exists()


def test_the_picture_is_of_this_page(built):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WAREHOUSE_PATH", str(built.warehouse))
        data = source.read()
    with Image.open(PROJECT / "assets/dashboard.png") as picture:
        assert picture.text[dashboard_picture.DIGEST] == page.content_digest(data), "run `make picture`"
    data.rows["months"][0]["net_amount"] += 1
    assert page.content_digest(data) != picture.text[dashboard_picture.DIGEST]
