"""The diagram in the README shows the schema as it is."""

import re

import erd
from conftest import PROJECT


def labels(svg: str) -> list[str]:
    """Everything the picture says, without where it stands: fonts differ between machines, and sizes with them."""
    return sorted(re.findall(r"<(?:text|title)[^>]*>(.*?)</", svg))


def test_diagram_is_current(built):
    drawn = erd.diagram(built.artifacts).draw(format="svg", prog="dot").decode()
    assert labels((PROJECT / "assets/erd.svg").read_text()) == labels(drawn), "run `make erd`"


def test_diagram_shows_every_relationship(built):
    assert {(edge[0], edge[1]) for edge in erd.diagram(built.artifacts).edges()} == {
        ("order_products", "orders"),
        ("order_products", "products"),
        ("orders", "users"),
        ("products", "aisles"),
        ("products", "departments"),
    }
    readme = (PROJECT / "README.md").read_text()
    assert "(assets/erd.svg)" in readme
    assert "(assets/erd.svg)" in (PROJECT / "models/overview.md").read_text()
