"""Draws the entity-relationship diagram of both data sets from their `relationships` tests, with keys marked.

Run by `make erd` as `python tools/erd.py FILE`, which also puts it into the overview of the documentation, so
that a copy of the page alone shows it; needs `target/manifest.json` and `target/catalog.json`.
"""

import base64
import json
import re
import sys
from pathlib import Path

import pygraphviz
from dbterd.api import DbtErd

ENTITIES = (
    *("aisles", "departments", "products", "users", "orders", "order_products"),
    *("customers", "stock_items", "invoices", "invoice_lines", "transactions"),
)
OVERVIEW = Path(__file__).parents[1] / "models/overview.md"
_EMBEDDED = re.compile(r"(?<=\]\()data:image/svg\+xml;base64,[A-Za-z0-9+/=]*(?=\))")


def keys(artifacts: Path) -> dict[str, dict[str, str]]:
    """The keys among the columns of each entity: `PK`, `FK` or both."""
    nodes = json.loads((artifacts / "manifest.json").read_text())["nodes"].values()
    marks = {
        node["name"]: {column: ["PK"] for column in node["config"]["meta"]["grain"]}
        for node in nodes
        if node["resource_type"] == "model" and node["name"] in ENTITIES
    }
    for node in nodes:
        if node["resource_type"] == "test" and node.get("test_metadata", {}).get("name") == "relationships":
            child = node["attached_node"].split(".")[-1]
            parent = re.search(r"ref\('(\w+)'\)", node["test_metadata"]["kwargs"]["to"])[1]
            if child in ENTITIES and parent in ENTITIES:
                marks[child].setdefault(node["column_name"], []).append("FK")
    return {name: {column: ", ".join(kinds) for column, kinds in columns.items()} for name, columns in marks.items()}


def diagram(artifacts: Path) -> pygraphviz.AGraph:
    """Return the diagram of the built project whose dbt artifacts are in the folder `artifacts`."""
    graph = pygraphviz.AGraph(
        DbtErd(
            target="graphviz",
            algo="test_relationship",
            artifacts_dir=str(artifacts),
            entity_name_format="table",
            select=[f"exact:model.retail_warehouse.{name}" for name in ENTITIES],
        ).get_erd()
    )
    graph.graph_attr["label"] = ""
    for name, marks in keys(artifacts).items():
        label = graph.get_node(name).attr["label"]
        for column, mark in marks.items():
            cell = f"{column}</td>"
            assert label.count(f" {cell}") == 1, f"{name}.{column}"
            label = label.replace(f" {cell}", f" {column} ({mark})</td>")
        graph.get_node(name).attr["label"] = f"<{label}>"  # angle brackets: it is markup
    for edge in graph.edges():
        # One parent, many children: the crow's foot stands at the child.
        edge.attr.update(dir="both", arrowtail="crow", arrowhead="tee")
    return graph


def embedded(svg: bytes) -> str:
    """A picture as a link that contains it."""
    return f"data:image/svg+xml;base64,{base64.b64encode(svg).decode()}"


def links(overview: str) -> list[str]:
    """The pictures that are embedded in an overview."""
    return _EMBEDDED.findall(overview)


if __name__ == "__main__":
    diagram(Path("target")).draw(sys.argv[1], format="svg", prog="dot")
    OVERVIEW.write_text(_EMBEDDED.sub(embedded(Path(sys.argv[1]).read_bytes()), OVERVIEW.read_text()))
    print(f"Wrote {sys.argv[1]} and {OVERVIEW.name}")
