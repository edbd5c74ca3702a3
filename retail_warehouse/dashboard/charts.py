"""The charts of the page, each with a table of its figures. Charts are Vega-Lite specifications made with Altair."""

from dataclasses import dataclass, field

import altair as alt

from retail_warehouse.dashboard.source import LONGEST_TABLE, Data, Row

# Colours that colour-blind people can tell apart: https://jfly.uni-koeln.de/color/
BLUE, ORANGE, GREEN, VERMILLION, PURPLE = "#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7"
# Lightness grows with the value, so it can be read in greyscale.
SEQUENTIAL = "viridis"
# Number of months, and of monthly cohorts, that are drawn.
LATEST_MONTHS, LATEST_COHORTS = 120, 24
POUNDS, COUNT, SHARE, MEAN, TEXT = "£,.0f", ",d", ".1%", ",.2f", ""


@dataclass
class Column:
    """A column of a table: heading, field, and d3 format of its values (empty for text)."""

    heading: str
    name: str
    form: str = TEXT


@dataclass
class Chart:
    """A section of the page.

    Attributes:
        name: Anchor in the page, lower case.
        title: Heading of the section.
        text: How to read it, in one or two sentences.
        spec: Vega-Lite specification; None for a table alone, or if there is nothing to draw.
        columns: Columns of the table.
        rows: Rows of the table.
        is_searchable: Show the table at once, with a search field.
        is_wide: Take the full width of the page.
        source: Tables of the warehouse that the figures come from.
    """

    name: str
    title: str
    text: str
    spec: dict | None
    columns: list[Column]
    rows: list[Row]
    source: str
    is_searchable: bool = False
    is_wide: bool = False
    notes: list[str] = field(default_factory=list)


def _values(rows: list[Row]) -> alt.InlineData:
    return alt.InlineData(values=rows)


def _tooltip(columns: list[Column]) -> list[alt.Tooltip]:
    return [
        alt.Tooltip(
            field=column.name,
            title=column.heading,
            type="quantitative" if column.form else "nominal",
            format=column.form.replace("£", "") if column.form else alt.Undefined,
        )
        for column in columns
    ]


def _drawn(chart: alt.Chart | alt.LayerChart, rows: list[Row], title: str, height: int = 260) -> dict | None:
    if not rows:
        return None
    # Read aloud by screen readers.
    description = f"Chart: {title}. The table below holds its figures."
    spec = chart.properties(width="container", height=height, description=description).to_dict()
    # The page sets the colours of text and axes, for light and dark mode.
    spec.pop("config", None)
    return spec


def _x(name: str, title: str | None, kind: str = "ordinal", **options) -> alt.X:
    return alt.X(field=name, type=kind, title=title, **options)


def _y(name: str, title: str | None, kind: str = "quantitative", **options) -> alt.Y:
    return alt.Y(field=name, type=kind, title=title, **options)


def _months(rows: list[Row]) -> list[Row]:
    return [
        row
        | {
            "month": str(row["sales_month"])[:7],
            "covered": "whole month" if row["is_complete_month"] else "part of the month",
        }
        for row in rows[-LATEST_MONTHS:]
    ]


def _month_notes(rows: list[Row]) -> list[str]:
    cut = [str(row["sales_month"])[:7] for row in rows if not row["is_complete_month"]]
    notes = [f"The latest {LATEST_MONTHS} months."] if len(rows) >= LATEST_MONTHS else []
    if cut:
        notes.append(f"The data cover only a part of {' and of '.join(cut[-2:])}: drawn paler, not to be compared.")
    return notes


# Months that the data cover only in part are paler.
_OPACITY = alt.condition("datum.is_complete_month", alt.value(1), alt.value(0.4))
_MONTH_AXIS = alt.Axis(labelAngle=-45)


def _sales_by_month(data: Data) -> Chart:
    title = "Sales, cancellations and net sales by month"
    rows = _months(data.rows["months"])
    columns = [
        Column("Month", "month"),
        Column("Gross sales", "gross_amount", POUNDS),
        Column("Cancellations", "cancellation_amount", POUNDS),
        Column("Net sales", "net_amount", POUNDS),
        Column("Covered", "covered"),
    ]
    base = alt.Chart(_values(rows))
    kinds = {"gross": BLUE, "cancelled": VERMILLION, "net": ORANGE}
    colour = alt.Color(
        field="kind",
        type="nominal",
        title=None,
        scale=alt.Scale(domain=list(kinds), range=list(kinds.values())),
    )
    bars = [
        base.transform_calculate(kind=f"'{kind}'")
        .mark_bar()
        .encode(
            x=_x("month", None, axis=_MONTH_AXIS),
            y=_y(name, "pounds", axis=alt.Axis(format="~s")),
            color=colour,
            opacity=_OPACITY,
            tooltip=_tooltip(columns),
        )
        for kind, name in (("gross", "gross_amount"), ("cancelled", "cancellation_amount"))
    ]
    line = (
        base.transform_calculate(kind="'net'")
        .mark_line(point=True, strokeWidth=2)
        .encode(x=_x("month", None), y=_y("net_amount", "pounds"), color=colour, tooltip=_tooltip(columns))
    )
    return Chart(
        "sales_by_month",
        title,
        "Cancellations count in the month in which they are made.",
        _drawn(alt.layer(*bars, line), rows, title),
        columns,
        rows,
        "reports.rpt_monthly_totals",
        is_wide=True,
        notes=_month_notes(rows),
    )


def _cancellation_rate(data: Data) -> Chart:
    title = "Cancellation rate by month"
    rows = _months(data.rows["months"])
    columns = [
        Column("Month", "month"),
        Column("Cancelled of the sales", "cancellation_rate", SHARE),
        Column("Cancellations", "cancellation_amount", POUNDS),
        Column("Covered", "covered"),
    ]
    chart = (
        alt.Chart(_values(rows))
        .mark_bar(color=VERMILLION)
        .encode(
            x=_x("month", None, axis=_MONTH_AXIS),
            y=_y("cancellation_rate", None, axis=alt.Axis(format="%")),
            opacity=_OPACITY,
            tooltip=_tooltip(columns),
        )
    )
    text = "Pounds cancelled in the month, as a share of the pounds sold in it; the sale may be older."
    return Chart(
        "cancellation_rate",
        title,
        text,
        _drawn(chart, rows, title),
        columns,
        rows,
        "reports.rpt_monthly_totals",
        notes=_month_notes(rows),
    )


def _customers_by_month(data: Data) -> Chart:
    title = "New and returning customers by month"
    rows = _months(data.rows["months"])
    columns = [
        Column("Month", "month"),
        Column("New", "new_customer_count", COUNT),
        Column("Returning", "returning_customer_count", COUNT),
        Column("Customers", "customer_count", COUNT),
        Column("Covered", "covered"),
    ]
    chart = (
        alt.Chart(_values(rows))
        .transform_fold(["returning_customer_count", "new_customer_count"], as_=["kind", "customers"])
        .mark_bar()
        .encode(
            x=_x("month", None, axis=_MONTH_AXIS),
            y=_y("customers", "customers"),
            color=alt.Color(
                field="kind",
                type="nominal",
                title=None,
                scale=alt.Scale(
                    domain=["returning_customer_count", "new_customer_count"],
                    range=[BLUE, ORANGE],
                ),
                legend=alt.Legend(labelExpr="datum.label == 'new_customer_count' ? 'new' : 'returning'"),
            ),
            opacity=_OPACITY,
            tooltip=_tooltip(columns),
        )
    )
    return Chart(
        "customers_by_month",
        title,
        "New: the first sale ever is in this month. In the first month of the data everybody is new.",
        _drawn(chart, rows, title),
        columns,
        rows,
        "reports.rpt_monthly_totals",
        notes=_month_notes(rows),
    )


def _countries(data: Data) -> Chart:
    title = "Net sales by country"
    rows = data.rows["countries"]
    columns = [
        Column("Country", "country"),
        Column("Net sales", "net_amount", POUNDS),
        Column("Gross sales", "gross_amount", POUNDS),
        Column("Cancellations", "cancellation_amount", POUNDS),
        Column("Invoices", "invoice_count", COUNT),
    ]
    drawn = [row for row in rows if float(row["net_amount"] or 0) > 0][:15]
    chart = (
        alt.Chart(_values(drawn))
        .mark_circle(size=120, color=BLUE, opacity=1)
        .encode(
            x=_x("net_amount", "pounds, each step ten times more", "quantitative", scale=alt.Scale(type="log")),
            y=_y("country", None, "nominal", sort=None, axis=alt.Axis(grid=True)),
            tooltip=_tooltip(columns),
        )
    )
    return Chart(
        "countries",
        title,
        "The fifteen countries with the largest net sales, on a logarithmic scale, since one outsells all others.",
        _drawn(chart, drawn, title, 340),
        columns,
        rows[:LONGEST_TABLE],
        "reports.rpt_monthly_sales",
    )


def _cohorts(data: Data) -> Chart:
    title = "Who comes back: retention by cohort"
    cohorts = sorted({str(row["cohort_month"]) for row in data.rows["cohorts"]})
    # The number of fields grows with the square of the number of cohorts.
    shown = cohorts[-LATEST_COHORTS:]
    rows = [
        row
        | {
            "cohort": str(row["cohort_month"])[:7],
            "covered": "whole month" if row["is_complete_month"] else "part of the month",
        }
        for row in data.rows["cohorts"]
        if str(row["cohort_month"]) in shown
    ]
    columns = [
        Column("First sale in", "cohort"),
        Column("Months later", "months_since_first", COUNT),
        Column("Customers of the cohort", "cohort_size", COUNT),
        Column("Active", "active_customers", COUNT),
        Column("Retention", "retention", SHARE),
        Column("Sales", "sales_amount", POUNDS),
        Column("Covered", "covered"),
    ]
    # By definition, all customers are active in their first month.
    drawn = [row for row in rows if row["months_since_first"]]
    chart = (
        alt.Chart(_values(drawn))
        .mark_rect()
        .encode(
            x=_x("months_since_first", "months after the first sale", axis=alt.Axis(labelAngle=0)),
            y=_y("cohort", "first sale in", "ordinal"),
            color=alt.Color(
                field="retention",
                type="quantitative",
                title="retention",
                scale=alt.Scale(scheme=SEQUENTIAL),
                legend=alt.Legend(format=".0%"),
            ),
            opacity=_OPACITY,
            tooltip=_tooltip(columns),
        )
    )
    return Chart(
        "cohorts",
        title,
        "Of the customers whose first sale was in a month, the share that bought again so many months later.",
        _drawn(chart, drawn, title, 300),
        columns,
        rows,
        "reports.rpt_cohort_retention",
        notes=[
            *(
                ["The last field of each row is a month that the data cover only in part."]
                if any(row["covered"] != "whole month" for row in drawn)
                else []
            ),
            *([f"The latest {LATEST_COHORTS} of {len(cohorts)} cohorts."] if len(cohorts) > LATEST_COHORTS else []),
        ],
    )


def _rfm(data: Data) -> Chart:
    title = "Customers by recency and frequency"
    rows = data.rows["rfm"]
    columns = [
        Column("Recency", "recency_score", COUNT),
        Column("Frequency", "frequency_score", COUNT),
        Column("Segment", "segment"),
        Column("Customers", "customers", COUNT),
        Column("Sales", "sales_amount", POUNDS),
    ]
    base = alt.Chart(_values(rows)).encode(
        x=_x("frequency_score", "frequency score, 5 = most invoices", axis=alt.Axis(labelAngle=0)),
        y=_y("recency_score", "recency score, 5 = bought last", "ordinal", sort="descending"),
        tooltip=_tooltip(columns),
    )
    chart = alt.layer(
        base.mark_rect().encode(
            color=alt.Color(
                field="sales_amount",
                type="quantitative",
                title="pounds",
                scale=alt.Scale(scheme=SEQUENTIAL),
                legend=alt.Legend(format="~s"),
            )
        ),
        # White with a black outline, to be read on dark and light fields.
        base.mark_text(fontSize=12, fontWeight="bold", fill="#fff", stroke="#000", strokeWidth=2.5).encode(
            text=alt.Text(field="customers", type="quantitative", format=",d")
        ),
        base.mark_text(fontSize=12, fontWeight="bold", fill="#fff").encode(
            text=alt.Text(field="customers", type="quantitative", format=",d")
        ),
    )
    return Chart(
        "rfm",
        title,
        "Each field holds the number of its customers; its colour is what they have spent.",
        _drawn(chart, rows, title, 300),
        columns,
        rows,
        "reports.rpt_customer_rfm",
    )


def _bars(
    name: str,
    title: str,
    text: str,
    rows: list[Row],
    columns: list[Column],
    value: Column,
    source: str,
    colour: str = BLUE,
    height: int = 260,
) -> Chart:
    """Horizontal bars, one a row, in the order of the rows."""
    chart = (
        alt.Chart(_values(rows))
        .mark_bar(color=colour)
        .encode(
            x=_x(value.name, value.heading.lower(), "quantitative", axis=alt.Axis(format="~s")),
            y=_y(columns[0].name, None, "nominal", sort=None, axis=alt.Axis(labelLimit=220)),
            tooltip=_tooltip(columns),
        )
    )
    return Chart(name, title, text, _drawn(chart, rows, title, height), columns, rows, source)


def _segments(data: Data) -> Chart:
    columns = [
        Column("Segment", "segment"),
        Column("Sales", "sales_amount", POUNDS),
        Column("Customers", "customers", COUNT),
    ]
    return _bars(
        "segments",
        "Sales by customer segment",
        "Champions bought lately and often. Those at risk, not to be lost or hibernating have stayed away for long.",
        data.rows["segments"],
        columns,
        columns[1],
        "reports.rpt_customer_rfm",
        GREEN,
        300,
    )


def _pareto(data: Data) -> Chart:
    title = "How few items make most of the sales"
    rows = data.rows["pareto"]
    columns = [
        Column("Rank", "sales_rank", COUNT),
        Column("Stock code", "stock_code"),
        Column("Item", "description"),
        Column("Sales", "sales_amount", POUNDS),
        Column("Of all sales, with better ones", "cumulative_sales_share", SHARE),
    ]
    # 300 points draw the same line as thousands, and keep the page small.
    step = max(1, len(rows) // 300)
    drawn = [row for place, row in enumerate(rows) if place % step == 0 or place == len(rows) - 1]
    chart = (
        alt.Chart(_values(drawn))
        .mark_area(line={"color": BLUE}, color=BLUE, opacity=0.3)
        .encode(
            x=_x("sales_rank", "items, best sellers first", "quantitative"),
            y=_y("cumulative_sales_share", "share of sales", axis=alt.Axis(format="%")),
            tooltip=_tooltip(columns),
        )
    )
    return Chart(
        "pareto",
        title,
        "The share of the sales that the best selling items make together (Pareto). Services are left out.",
        _drawn(chart, drawn, title),
        columns,
        rows[:LONGEST_TABLE],
        "reports.rpt_stock_item_performance",
        notes=_shortened(rows),
    )


def _shortened(rows: list[Row]) -> list[str]:
    """The note of a table that is longer in the warehouse."""
    return [f"The table shows the first {LONGEST_TABLE}."] if len(rows) > LONGEST_TABLE else []


def _cancelled_items(data: Data) -> Chart:
    rows = [
        row | {"item": row["description"] or row["stock_code"], "cancelled": -float(row["cancellation_amount"])}
        for row in data.rows["cancelled_items"]
    ]
    columns = [
        Column("Item", "item"),
        Column("Cancelled", "cancelled", POUNDS),
        Column("Sales", "sales_amount", POUNDS),
        Column("Cancelled of the sales", "cancelled_share", SHARE),
    ]
    return _bars(
        "cancelled_items",
        "Items that come back",
        "The items of which most pounds were cancelled.",
        rows,
        columns,
        columns[1],
        "reports.rpt_stock_item_performance",
        VERMILLION,
        300,
    )


def _pairs(name: str, title: str, rows: list[Row], thing: str, both: str, texts: list[str], source: str) -> Chart:
    columns = [
        Column(f"{thing} a", texts[0]),
        Column(f"{thing} b", texts[1]),
        Column(both, both.lower().replace(" ", "_"), COUNT),
        Column("Support", "support", ".2%"),
        Column("a, then b", "confidence_a_to_b", SHARE),
        Column("b, then a", "confidence_b_to_a", SHARE),
        Column("Lift", "lift", MEAN),
    ]
    return Chart(
        name,
        title,
        "Lift says how many times more often than by chance both are bought together; “a, then b” is the share of the "
        f"{both.split()[0].lower()} with a that hold b too. The commonest {LONGEST_TABLE} pairs at most.",
        None,
        columns,
        rows,
        source,
        is_searchable=True,
        is_wide=True,
    )


def _item_pairs(data: Data) -> Chart:
    rows = [
        row
        | {
            "item_a": row["description_a"] or row["stock_code_a"],
            "item_b": row["description_b"] or row["stock_code_b"],
        }
        for row in data.rows["item_pairs"]
    ]
    return _pairs(
        "item_pairs",
        "Items that are bought together",
        rows,
        "Item",
        "Baskets with both",
        ["item_a", "item_b"],
        "reports.rpt_stock_item_pairs",
    )


def _product_pairs(data: Data) -> Chart:
    return _pairs(
        "product_pairs",
        "Products that are bought together",
        data.rows["product_pairs"],
        "Product",
        "Orders with both",
        ["product_name_a", "product_name_b"],
        "reports.rpt_product_pairs",
    )


def _times(data: Data) -> Chart:
    title = "Orders by day of the week and hour"
    rows = data.rows["times"]
    columns = [
        Column("Day number", "order_dow", COUNT),
        Column("Hour", "order_hour_of_day", COUNT),
        Column("Orders", "order_count", COUNT),
        Column("Mean basket", "mean_basket_size", MEAN),
        Column("Reordered", "reorder_share", SHARE),
    ]
    chart = (
        alt.Chart(_values(rows))
        .mark_rect()
        .encode(
            x=_x("order_hour_of_day", "hour", axis=alt.Axis(labelAngle=0, labelOverlap=True)),
            y=_y("order_dow", "day number", "ordinal"),
            color=alt.Color(
                field="order_count", type="quantitative", title="orders", scale=alt.Scale(scheme=SEQUENTIAL)
            ),
            tooltip=_tooltip(columns),
        )
    )
    return Chart(
        "times",
        title,
        "The data number the days from 0 to 6 and never say which weekday 0 is.",
        _drawn(chart, rows, title),
        columns,
        rows,
        "reports.rpt_order_times",
    )


def _columns_by_number(
    name: str, title: str, text: str, rows: list[Row], columns: list[Column], axis: str, source: str, colour: str
) -> Chart:
    """Vertical bars over a number. The first two columns are this number and what is counted."""
    chart = (
        alt.Chart(_values(rows))
        .mark_bar(color=colour)
        .encode(
            x=_x(columns[0].name, axis, axis=alt.Axis(labelAngle=0, labelOverlap=True)),
            y=_y(columns[1].name, columns[1].heading.lower(), axis=alt.Axis(format="~s")),
            tooltip=_tooltip(columns),
        )
    )
    return Chart(name, title, text, _drawn(chart, rows, title), columns, rows, source)


def _baskets(data: Data) -> Chart:
    columns = [
        Column("Products", "basket_size", COUNT),
        Column("Orders", "order_count", COUNT),
        Column("Of all orders", "order_share", ".2%"),
        Column("Reordered", "reorder_share", SHARE),
    ]
    return _columns_by_number(
        "baskets",
        "Basket sizes",
        "Orders by the number of their products; orders whose lines are not known are left out.",
        data.rows["baskets"],
        columns,
        "products in the order",
        "reports.rpt_basket_sizes",
        GREEN,
    )


def _gaps(data: Data) -> Chart:
    columns = [
        Column("Days", "days_since_prior_order", COUNT),
        Column("Orders", "order_count", COUNT),
        Column("Mean basket", "mean_basket_size", MEAN),
        Column("Reordered", "reorder_share", SHARE),
    ]
    return _columns_by_number(
        "gaps",
        "Days since the order before",
        "30 stands for 30 days or more. First orders have no order before them.",
        data.rows["gaps"],
        columns,
        "days",
        "reports.rpt_order_gaps",
        ORANGE,
    )


def _departments(data: Data) -> Chart:
    title = "Departments by orders and reorder share"
    rows = data.rows["departments"]
    columns = [
        Column("Department", "department"),
        Column("Orders", "order_count", COUNT),
        Column("Of all orders", "order_share", SHARE),
        Column("Reordered", "reorder_share", SHARE),
        Column("Users", "user_count", COUNT),
        Column("Items", "item_count", COUNT),
    ]
    drawn = [row for row in rows if row["order_count"]]
    chart = (
        alt.Chart(_values(drawn))
        .mark_bar()
        .encode(
            x=_x("order_count", "orders", "quantitative", axis=alt.Axis(format="~s")),
            y=_y("department", None, "nominal", sort=None),
            color=alt.Color(
                field="reorder_share",
                type="quantitative",
                title="reordered",
                scale=alt.Scale(scheme=SEQUENTIAL),
                legend=alt.Legend(format=".0%"),
            ),
            tooltip=_tooltip(columns),
        )
    )
    return Chart(
        "departments",
        title,
        "An order counts in every department of its products. The colour is the share of items bought before.",
        _drawn(chart, drawn, title, 420),
        columns,
        rows,
        "reports.rpt_department_performance",
    )


def _sequence(data: Data) -> Chart:
    title = "From the first order to the n-th"
    rows = data.rows["sequence"]
    columns = [
        Column("Order", "order_number", COUNT),
        Column("Users", "user_count", COUNT),
        Column("Mean basket", "mean_basket_size", MEAN),
        Column("Reordered", "reorder_share", SHARE),
        Column("New products", "mean_new_products", MEAN),
    ]
    base = alt.Chart(_values(rows)).encode(x=_x("order_number", "order number", "quantitative"))
    chart = alt.layer(
        base.mark_area(color=BLUE, opacity=0.3).encode(
            y=_y("user_count", "users", axis=alt.Axis(format="~s", titleColor=BLUE)), tooltip=_tooltip(columns)
        ),
        base.mark_line(color=VERMILLION, strokeWidth=2.5).encode(
            y=_y("reorder_share", "reordered items", axis=alt.Axis(format="%", titleColor=VERMILLION)),
            tooltip=_tooltip(columns),
        ),
    ).resolve_scale(y="independent")
    return Chart(
        "sequence",
        title,
        "How many users come to an n-th order (area), and how much of it they have bought before (line).",
        _drawn(chart, rows, title, 420),
        columns,
        rows,
        "reports.rpt_order_sequence",
    )


def _users(data: Data) -> Chart:
    columns = [Column("Segment", "segment"), Column("Users", "users", COUNT), Column("Items", "item_count", COUNT)]
    return _bars(
        "users",
        "Users by how often and how much of the same they buy",
        "Regulars order often and the same, explorers often and new things, restockers seldom and the same.",
        data.rows["users"],
        columns,
        columns[1],
        "reports.rpt_user_segments",
        PURPLE,
        180,
    )


def _files(data: Data) -> Chart:
    title = "Rows accepted and rejected, by raw file"
    rows = [row | {"file": f"{row['source_name']}: {row['file_name']}"} for row in data.rows["files"]]
    columns = [
        Column("File", "file"),
        Column("Rows", "raw_rows", COUNT),
        Column("Accepted", "accepted_rows", COUNT),
        Column("Rejected", "rejected_rows", COUNT),
    ]
    kinds = {"accepted_rows": BLUE, "rejected_rows": VERMILLION}
    chart = (
        alt.Chart(_values(rows[:30]))
        .transform_fold(list(kinds), as_=["kind", "rows"])
        .mark_bar()
        .encode(
            x=_x("rows", None, "quantitative", stack="normalize", axis=alt.Axis(format="%")),
            y=_y("file", None, "nominal", sort=None, axis=alt.Axis(labelLimit=260)),
            color=alt.Color(
                field="kind",
                type="nominal",
                title=None,
                scale=alt.Scale(domain=list(kinds), range=list(kinds.values())),
                legend=alt.Legend(labelExpr="datum.label == 'accepted_rows' ? 'accepted' : 'rejected'"),
            ),
            tooltip=_tooltip(columns),
        )
    )
    return Chart(
        "files",
        title,
        "Every raw row is either accepted or rejected, with the reason.",
        _drawn(chart, rows, title, 60 + 28 * min(30, len(rows))),
        columns,
        rows[:LONGEST_TABLE],
        "audit.row_reconciliation",
        is_wide=True,
        notes=_shortened(rows) + (["The chart shows the first 30 files."] if len(rows) > 30 else []),
    )


def _rejections(data: Data) -> Chart:
    rows = [row | {"table": f"{row['source_name']}.{row['table_name']}"} for row in data.rows["rejections"]]
    columns = [
        Column("Raw table", "table"),
        Column("Reason", "reason"),
        Column("Rejected rows", "rejected_rows", COUNT),
    ]
    return Chart(
        "rejections",
        "Why rows were rejected",
        "Each of them stands in audit.rejected_rows, with file, line and the line itself.",
        None,
        columns,
        rows,
        "audit.rejected_rows",
        is_searchable=True,
        is_wide=True,
    )


# The sections of the page, with their charts.
SECTIONS = {
    "Online Retail": (
        _sales_by_month,
        _customers_by_month,
        _cancellation_rate,
        _countries,
        _segments,
        _rfm,
        _cohorts,
        _pareto,
        _cancelled_items,
        _item_pairs,
    ),
    "Instacart": (_times, _gaps, _baskets, _users, _departments, _sequence, _product_pairs),
    "Data quality": (_files, _rejections),
}


def sections(data: Data) -> dict[str, list[Chart]]:
    """The charts of the page, by heading.

    Args:
        data: What was read. A table without rows gives a chart without a specification.
    """
    return {heading: [make(data) for make in makers] for heading, makers in SECTIONS.items()}
