"""The pictures of the pages show schema, lineage and templates as they are."""

import json
import re

import aws_picture
import erd
import lineage_picture
from cfnlint.decode import cfn_yaml
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


def test_the_picture_of_aws_is_current():
    drawn = aws_picture.diagram().draw(format="svg", prog="dot").decode()
    assert labels((PROJECT / "assets/aws.svg").read_text()) == labels(drawn), "run `make erd`"
    assert "(../assets/aws.svg)" in (PROJECT / "docs/aws.md").read_text()


# Types that a reader of the picture does not miss: what holds the others together.
NOT_DRAWN = (
    "AWS::EC2::",
    "AWS::IAM::",
    "AWS::Logs::",
    "AWS::CloudWatch::",
    "AWS::ServiceDiscovery::",
    "AWS::Cognito::",
)
NOT_DRAWN += ("AWS::ECS::Cluster", "AWS::ECS::TaskDefinition", "AWS::ApiGatewayV2::", "AWS::Glue::Database")
NOT_DRAWN += ("AWS::S3::BucketPolicy", "AWS::SNS::", "AWS::KMS::", "AWS::RedshiftServerless::Namespace")


def unlike_the_templates(boxes: dict) -> list[str]:
    """What a box says of a stack and is not so, and what a stack has and no box shows."""
    drawn = {stack: {type_ for _, of, types in boxes.values() if of == stack for type_ in types} for stack in STACKS}
    found = [f"{stack} is no stack" for _, stack, _ in boxes.values() if stack and stack not in STACKS]
    for stack, types in STACKS.items():
        found += [f"{stack} has no {type_}" for type_ in drawn[stack] - types]
        found += [
            f"{type_} of {stack} is not drawn" for type_ in types - drawn[stack] if not type_.startswith(NOT_DRAWN)
        ]
    return found


STACKS = {
    path.stem: {resource["Type"] for resource in cfn_yaml.load(str(path))["Resources"].values()}
    for path in (PROJECT / "infrastructure").glob("*.yaml")
}


def test_the_picture_of_aws_is_that_of_the_templates():
    assert unlike_the_templates(aws_picture.BOXES) == []
    for name, other in {
        "bucket": ("a queue", "foundation", ("AWS::SQS::Queue",)),
        "redshift": ("Redshift", "lake", ("AWS::RedshiftServerless::Workgroup",)),
        "athena": ("Athena", "lakes", ()),
    }.items():
        assert unlike_the_templates(aws_picture.BOXES | {name: other})
    assert {end for arrow in aws_picture.ARROWS for end in arrow} == set(aws_picture.BOXES)
