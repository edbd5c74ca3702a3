"""Draws the lineage of the project, from the raw tables to the reports, with Graphviz from dbt's manifest.

Run by `make erd` as `python tools/lineage_picture.py FILE`; needs `target/manifest.json`. Raw tables and marts are
boxes of their own. A layer that a reader does not query by name (staging, intermediate, ...) is one box for each data
set, with the number of its models. Helpers that are hidden in the documentation are left out, and so is an arrow
between two boxes that a longer way connects as well.
"""

import json
import sys
from pathlib import Path

import pygraphviz

# Layers whose models are drawn one by one.
_ONE_BY_ONE = ("source", "marts")
_TITLES = {"instacart": "Instacart", "online_retail": "Online Retail"}
_FONT = "Helvetica,Arial,sans-serif"


def _box(node: dict) -> tuple[str, str]:
    """Layer and box of a model or a raw table."""
    layer = "source" if node["resource_type"] == "source" else node["fqn"][1]
    data_set = next((name for name in _TITLES if name in node["fqn"]), "")
    if layer in _ONE_BY_ONE:
        return layer, f"{layer}.{node['name']}"
    return layer, f"{layer}.{data_set}"


def _shown(manifest: dict) -> dict[str, dict]:
    """Models, and the raw tables that one of them reads, by id."""
    models = {
        id_: node
        for id_, node in manifest["nodes"].items()
        if node["resource_type"] == "model" and node["docs"]["show"]
    }
    read = {parent for node in models.values() for parent in node["depends_on"]["nodes"]}
    # What `retail-warehouse predict` has written is no raw data.
    raw = {id_: node for id_, node in manifest["sources"].items() if id_ in read and node["source_name"] in _TITLES}
    return raw | models


def _reachable(edges: set[tuple[str, str]], start: str) -> set[str]:
    """Boxes that can be reached by following arrows."""
    found, open_ = set(), [start]
    while open_:
        here = open_.pop()
        for parent, child in edges:
            if parent == here and child not in found:
                found.add(child)
                open_.append(child)
    return found


def without_shortcuts(edges: set[tuple[str, str]]) -> set[tuple[str, str]]:
    """Return the arrows without those that a longer path implies.

    Args:
        edges: Arrows from a box to another one, without a circle.
    """
    return {
        (parent, child)
        for parent, child in edges
        if not any(
            child in _reachable(edges, between) for start, between in edges if start == parent and between != child
        )
    }


def diagram(artifacts: Path) -> pygraphviz.AGraph:
    """Return the picture of the project whose `manifest.json` is in the folder `artifacts`."""
    nodes = _shown(json.loads((artifacts / "manifest.json").read_text()))
    boxes: dict[str, list[dict]] = {}
    for node in nodes.values():
        boxes.setdefault(_box(node)[1], []).append(node)
    edges = {
        (_box(nodes[parent])[1], _box(node)[1])
        for node in nodes.values()
        for parent in node.get("depends_on", {}).get("nodes", [])
        if parent in nodes and _box(nodes[parent])[1] != _box(node)[1]
    }
    graph = pygraphviz.AGraph(directed=True, rankdir="LR", nodesep="0.12", ranksep="0.5", fontname=_FONT)
    graph.node_attr.update(shape="box", style="filled,rounded", fontname=_FONT, fontsize="12", height="0.3")
    graph.edge_attr.update(color="#666666", arrowsize="0.6")
    for box, members in sorted(boxes.items()):
        layer, name = box.split(".", 1)
        first = members[0]
        if layer == "source":
            label, colour = name, "#FFFFFF"
        elif layer in _ONE_BY_ONE:
            label, colour = name, first["config"]["docs"]["node_color"]
        else:
            label = f"{layer}\n{len(members)} {'model' if len(members) == 1 else 'models'}"
            colour = first["config"]["docs"]["node_color"]
        graph.add_node(box, label=label, fillcolor=f"{colour}66" if colour != "#FFFFFF" else colour, color="#444444")
    for data_set, title in _TITLES.items():
        members = [box for box, of_box in boxes.items() if data_set in of_box[0]["fqn"]]
        graph.add_subgraph(members, name=f"cluster_{data_set}", label=title, color="#BBBBBB", style="rounded")
    for parent, child in sorted(without_shortcuts(edges)):
        graph.add_edge(parent, child)
    return graph


if __name__ == "__main__":
    Path(sys.argv[1]).write_bytes(diagram(Path("target")).draw(format="svg", prog="dot"))
    print(f"Wrote {sys.argv[1]}")
