"""The page: headline figures, charts, tables, in one HTML file that makes no requests."""

import datetime
import hashlib
import json
from dataclasses import dataclass
from importlib import resources

import jinja2
import vl_convert

from retail_warehouse.dashboard.charts import COUNT, MEAN, POUNDS, SHARE, TEXT, Chart, Column, sections
from retail_warehouse.dashboard.source import Data, Row, Value

# Shown in place of a null.
NONE = "–"


@dataclass
class Figure:
    """A headline figure.

    Attributes:
        name: Name of the element in the page.
        label: Label for readers.
        text: The value as it is shown.
        value: The value itself; None if it is null.
        change: The change since the month before, in words; None if months cannot be compared.
    """

    name: str
    label: str
    text: str
    value: Value
    change: str | None = None


def written(value: Value, form: str) -> str:
    """Format a value for readers.

    Args:
        value: A value of a row; None becomes a dash.
        form: d3 format of its column.
    """
    if value is None:
        return NONE
    if form == TEXT:
        return str(value)
    number = float(value)
    pound = "£" if form.startswith("£") else ""
    if form.endswith("%"):
        return f"{number * 100:,.{form[-2]}f} %"
    decimals = 0 if form == COUNT else int(form[-2])
    return f"{'-' if number < 0 else ''}{pound}{abs(number):,.{decimals}f}"


# Headline figures of a month: field, label, format.
_MONTHLY = (
    ("net_amount", "Net sales", POUNDS),
    ("gross_amount", "Gross sales", POUNDS),
    ("cancellation_rate", "Cancellation rate", SHARE),
    ("invoice_count", "Invoices", COUNT),
    ("average_invoice_value", "Average invoice", "£,.2f"),
    ("customer_count", "Customers", COUNT),
    ("new_customer_count", "New customers", COUNT),
    ("units", "Units", COUNT),
)


def _month(row: Row) -> str:
    """A month as people write it, such as `Nov 2011`."""
    return datetime.date.fromisoformat(str(row["sales_month"])).strftime("%b %Y")


def _change(now: Row, before: Row | None, name: str, form: str) -> str | None:
    if before is None or now[name] is None or before[name] is None:
        return None
    month = _month(before)
    if form == SHARE:
        return f"{(float(now[name]) - float(before[name])) * 100:+.1f} points on {month}"
    if not float(before[name]):
        return None
    return f"{(float(now[name]) / float(before[name]) - 1) * 100:+.1f} % on {month}"


def months_compared(data: Data) -> tuple[Row | None, Row | None]:
    """The latest complete month, and the month before it if complete too; the latest month if none is complete."""
    months = data.rows["months"]
    whole = [place for place, row in enumerate(months) if row["is_complete_month"]]
    if not months:
        return None, None
    if not whole:
        return months[-1], None
    place = whole[-1]
    return months[place], months[place - 1] if place - 1 in whole else None


def headlines(data: Data) -> dict[str, list[Figure]]:
    """Headline figures by the heading of their section."""
    now, before = months_compared(data)
    monthly = [
        Figure(name, label, written(now[name], form), now[name], _change(now, before, name, form))
        for name, label, form in _MONTHLY
        if now is not None
    ]
    times = data.rows["times"]
    orders, with_lines, items, reordered = (
        sum(int(row[name] or 0) for row in times)
        for name in ("order_count", "orders_with_lines", "item_count", "reordered_items")
    )
    users = sum(int(row["users"]) for row in data.rows["users"])
    carts = [
        Figure("orders", "Orders", written(orders, COUNT), orders),
        Figure("users", "Users", written(users, COUNT), users),
        Figure("items", "Items ordered", written(items, COUNT), items),
        Figure("basket", "Mean basket", written(items / with_lines if with_lines else None, MEAN), None),
        Figure("reordered", "Items bought again", written(reordered / items if items else None, SHARE), None),
    ]
    raw, rejected = (sum(int(row[name]) for row in data.rows["files"]) for name in ("raw_rows", "rejected_rows"))
    quality = [
        Figure("raw_rows", "Raw rows", written(raw, COUNT), raw),
        Figure("rejected_rows", "Rejected rows", written(rejected, COUNT), rejected),
    ]
    if data.last_run:
        quality.append(Figure("warnings", "Warnings of the last run", str(data.last_run["warnings"]), None))
    return {
        "Online Retail": monthly,
        "Instacart": carts if times else [],
        "Data quality": quality if data.rows["files"] else [],
    }


def _about(data: Data) -> list[str]:
    """Lines about the data that the page shows."""
    lines = []
    months = data.rows["months"]
    now, before = months_compared(data)
    if now is not None:
        lines.append(f"Online Retail: {_month(months[0])} to {_month(months[-1])}.")
        compared = f"Headline figures are those of {_month(now)}"
        if not now["is_complete_month"]:
            compared += ", which the data cover only in part, as they do every month"
        elif before is not None:
            compared += f", compared with {_month(before)}"
        cut = [_month(row) for row in months if not row["is_complete_month"]]
        lines.append(compared + ".")
        if cut:
            lines.append(
                f"Incomplete at the edge of the data: {', '.join(cut)}. Such months are drawn paler and never compared."
            )
    if data.missing:
        lines.append("Some tables are not built yet: run dbt build.")
    return lines


def _build(data: Data) -> list[str]:
    lines = [f"Read from {data.origin}."]
    at = [row["last_processed_at"] for row in data.rows["builds"] if row["last_processed_at"]]
    if at:
        lines.append(f"Files last taken in at {str(at[0])[:16].replace('T', ' ')} UTC.")
    if data.last_run:
        run = data.last_run
        lines.append(
            f"Last run of this folder: dbt {run['command']}, {run['at']} UTC, {run['passed']} passed, "
            f"{run['warnings']} warnings, {run['errors']} errors."
        )
    return lines


def _table(chart: Chart) -> dict:
    def cell(row: Row, column: Column) -> dict:
        return {"text": written(row[column.name], column.form), "is_number": bool(column.form)}

    return {
        "headings": [{"text": column.heading, "is_number": bool(column.form)} for column in chart.columns],
        "rows": [[cell(row, column) for column in chart.columns] for row in chart.rows],
    }


def content_digest(data: Data) -> str:
    """SHA-256 of what the page shows, without times and origin. The picture of the page holds it, so a test can tell
    whether the picture is current."""
    shown = {
        heading: [chart.__dict__ | {"columns": str(chart.columns)} for chart in charts]
        for heading, charts in sections(data).items()
    }
    figures = {
        heading: [figure.text for figure in line if figure.name != "warnings"]
        for heading, line in headlines(data).items()
    }
    template = resources.files(__package__).joinpath("page.html").read_text(encoding="utf-8")
    return hashlib.sha256(json.dumps([shown, figures, _about(data), template], sort_keys=True).encode()).hexdigest()


def render(data: Data) -> str:
    """The page as HTML.

    Args:
        data: What was read.
    """
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    template = environment.from_string(resources.files(__package__).joinpath("page.html").read_text(encoding="utf-8"))
    charts = sections(data)
    specs = {chart.name: chart.spec for line in charts.values() for chart in line if chart.spec}
    return template.render(
        sections=[
            {
                "heading": heading,
                "figures": headlines(data)[heading],
                "charts": [{"chart": chart, "table": _table(chart)} for chart in line],
            }
            for heading, line in charts.items()
        ],
        about=_about(data),
        build=_build(data),
        # Neither may contain the tag that ends its script element.
        library=vl_convert.javascript_bundle().replace("</script", "<\\/script"),
        specs=json.dumps(specs, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c"),
    )
