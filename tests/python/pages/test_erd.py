"""The pictures in the README show the schema and the lineage as they are."""

import json
import re

import erd
import lineage_picture
from conftest import PROJECT


def labels(svg: str) -> list[str]:
    """Everything the picture says, without where it stands: fonts differ between machines, and sizes with them."""
    return sorted(re.findall(r"<(?:text|title)[^>]*>(.*?)</", svg))


def test_diagram_is_current(built):
    drawn = erd.diagram(built.artifacts).draw(format="svg", prog="dot").decode()
    assert labels((PROJECT / "assets/erd.svg").read_text()) == labels(drawn), "run `make erd`"


def test_diagram_shows_every_relationship_and_key(built):
    diagram = erd.diagram(built.artifacts)
    assert {(edge[0], edge[1]) for edge in diagram.edges()} == {
        ("order_products", "orders"),
        ("order_products", "products"),
        ("orders", "users"),
        ("products", "aisles"),
        ("products", "departments"),
        ("invoices", "customers"),
        ("invoice_lines", "invoices"),
        ("invoice_lines", "customers"),
        ("invoice_lines", "stock_items"),
        ("transactions", "invoices"),
        ("transactions", "stock_items"),
    }
    for name, columns in {
        "order_products": ["order_id (PK, FK)", "product_id (PK, FK)"],
        "orders": ["order_id (PK)", "user_id (FK)"],
        "invoice_lines": ["invoice_line_id (PK)", "invoice_no (FK)", "stock_code (FK)", "customer_id (FK)"],
    }.items():
        assert re.findall(r"\w+ \([PF]K.*?\)", diagram.get_node(name).attr["label"]) == columns
    readme = (PROJECT / "README.md").read_text()
    assert "(assets/erd.svg)" in readme


def test_the_overview_holds_the_diagram():
    """So that a copy of the page alone shows it."""
    assert erd.links(erd.OVERVIEW.read_text()) == [erd.embedded((PROJECT / "assets/erd.svg").read_bytes())]


def test_lineage_is_current(built):
    # An edge says where it begins and ends, and a box what it is, whatever the machine's fonts.
    drawn = lineage_picture.diagram(built.artifacts).draw(format="svg", prog="dot").decode()
    assert labels((PROJECT / "assets/lineage.svg").read_text()) == labels(drawn), "run `make erd`"
    assert "(assets/lineage.svg)" in (PROJECT / "README.md").read_text()


def test_lineage_shows_every_mart_and_raw_table_and_nothing_hidden(built):
    diagram = lineage_picture.diagram(built.artifacts)
    nodes = json.loads(built.manifest.read_text())["nodes"].values()
    marts = {node["name"] for node in nodes if node["resource_type"] == "model" and node["fqn"][1] == "marts"}
    assert {box.removeprefix("marts.") for box in diagram.nodes() if box.startswith("marts.")} == marts
    assert len([box for box in diagram.nodes() if box.startswith("source.")]) == 8
    assert diagram.has_edge("intermediate.instacart", "marts.orders")
    assert diagram.has_edge("marts.orders", "marts.fct_orders")
    # A longer way says it.
    assert not diagram.has_edge("marts.orders", "features.instacart")
    assert lineage_picture.without_shortcuts({("a", "b"), ("b", "c"), ("a", "c"), ("d", "c")}) == {
        ("a", "b"),
        ("b", "c"),
        ("d", "c"),
    }
    layers = {node["fqn"][1] for node in nodes if node["resource_type"] == "model"}
    assert {box.split(".")[0] for box in diagram.nodes()} == layers | {"source"}
