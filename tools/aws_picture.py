"""Draws what `make deploy` makes on AWS, with Graphviz, from the table below.

Run by `make erd` as `python tools/aws_picture.py FILE`. A test holds the boxes against the templates.
"""

import sys
from pathlib import Path

import pygraphviz

_FONT = "Helvetica,Arial,sans-serif"
_COLOURS = {"": "#FFFFFF", "api": "#E69F00", "warehouse": "#009E73", "foundation": "#56B4E9", "lake": "#CC79A7"}
_COLOURS["github"] = "#999999"

#: Boxes: what they say, the stack they belong to, and the types of its resources that they stand for. Those without a
#: stack are not on AWS.
BOXES = {
    "files": ("raw files", "", ()),
    "tills": ("tills, shops", "", ()),
    "bi": ("Power BI,\nTableau", "", ()),
    "analysts": ("analysts", "", ()),
    "owner": ("whoever is told\nof failures", "", ()),
    "repository": ("this repository\non GitHub", "", ()),
    "entry": ("HTTP API\nTLS, scopes, throttle", "api", ("AWS::ApiGatewayV2::Api", "AWS::ApiGatewayV2::Authorizer")),
    "pool": ("Cognito\ntokens", "api", ("AWS::Cognito::UserPool", "AWS::Cognito::UserPoolClient")),
    "api": ("API on Fargate\nbehind a VPC link", "api", ("AWS::ECS::Service", "AWS::ApiGatewayV2::VpcLink")),
    "events": ("DynamoDB\nevents, look-ups,\npredictions", "foundation", ("AWS::DynamoDB::Table",)),
    "bucket": ("S3 bucket\nraw, streamed, exports,\nmodels, site", "foundation", ("AWS::S3::Bucket",)),
    "alarms": ("alarms, budget", "foundation", ("AWS::SNS::Topic", "AWS::Budgets::Budget")),
    "images": ("ECR\nthe image of API and runs", "foundation", ("AWS::ECR::Repository",)),
    "schedules": ("EventBridge\nnight, day, new files", "warehouse", ("AWS::Scheduler::Schedule", "AWS::Events::Rule")),
    "runs": ("Step Functions\none run at a time", "warehouse", ("AWS::StepFunctions::StateMachine",)),
    "batch": ("run on Fargate\ndbt, training, predictions", "warehouse", ("AWS::ECS::TaskDefinition",)),
    "redshift": ("Redshift Serverless\nmarts, reports", "warehouse", ("AWS::RedshiftServerless::Workgroup",)),
    "tables": ("Glue tables\nof exports/", "lake", ("AWS::Glue::Table",)),
    "athena": ("Athena\nSQL, notebooks with Spark", "lake", ("AWS::Athena::WorkGroup", "AWS::Athena::NamedQuery")),
    "deployer": ("role without a key", "github", ("AWS::IAM::OIDCProvider", "AWS::IAM::Role")),
}
#: Arrows, in the direction in which rows, tokens or commands go.
ARROWS = (
    ("files", "bucket"),
    ("tills", "entry"),
    ("tills", "pool"),
    ("entry", "api"),
    ("api", "bucket"),
    ("api", "events"),
    ("schedules", "runs"),
    ("runs", "batch"),
    ("runs", "alarms"),
    ("alarms", "owner"),
    ("bucket", "batch"),
    ("batch", "redshift"),
    ("batch", "events"),
    ("redshift", "bi"),
    ("redshift", "tables"),
    ("tables", "athena"),
    ("athena", "analysts"),
    ("repository", "deployer"),
    ("deployer", "images"),
)


def diagram() -> pygraphviz.AGraph:
    """Return the picture: a frame for each stack."""
    graph = pygraphviz.AGraph(directed=True, rankdir="LR", nodesep="0.2", ranksep="0.55", fontname=_FONT)
    graph.node_attr.update(shape="box", style="filled,rounded", fontname=_FONT, fontsize="12", color="#444444")
    graph.edge_attr.update(color="#666666", arrowsize="0.6")
    for name, (label, stack, _) in BOXES.items():
        colour = _COLOURS[stack]
        graph.add_node(name, label=label, fillcolor=f"{colour}66" if stack else colour)
    for stack in filter(None, _COLOURS):
        members = [name for name, (_, of, _) in BOXES.items() if of == stack]
        graph.add_subgraph(members, name=f"cluster_{stack}", label=stack, color="#BBBBBB", style="rounded")
    for start, end in ARROWS:
        graph.add_edge(start, end)
    return graph


if __name__ == "__main__":
    Path(sys.argv[1]).write_bytes(diagram().draw(format="svg", prog="dot"))
    print(f"Wrote {sys.argv[1]}")
