"""Draws the entity-relationship diagram of the relational schema from its `relationships` tests.

Run by `make erd` as `python tests/python/erd.py FILE`; needs `target/manifest.json` and `target/catalog.json`.
"""

import sys
from pathlib import Path

import pygraphviz
from dbterd.api import DbtErd

ENTITIES = ("aisles", "departments", "products", "users", "orders", "order_products")


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
    for edge in graph.edges():
        # One parent, many children: the crow's foot stands at the child.
        edge.attr.update(dir="both", arrowtail="crow", arrowhead="tee")
    return graph


if __name__ == "__main__":
    diagram(Path("target")).draw(sys.argv[1], format="svg", prog="dot")
    print(f"Wrote {sys.argv[1]}")
