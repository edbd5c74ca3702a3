"""Rules that tie the templates of infrastructure/ to the code. Each looks at all templates and says what is wrong, a
line for each problem; no line is good."""

import json
import re
from collections.abc import Callable, Iterator
from unittest.mock import MagicMock

import click
from cfnlint.decode import cfn_yaml
from conftest import PROJECT

FOLDER = PROJECT / "infrastructure"
STACKS = sorted(path.stem for path in FOLDER.glob("*.yaml"))
Templates = dict[str, dict]
RULES: dict[str, Callable[[Templates], Iterator[str]]] = {}
# Why a statement allows something on every resource; the key is its stack, and its Sid or its one action.
ANY_RESOURCE = {
    ("foundation", "LogIntoEcr"): "ecr:GetAuthorizationToken knows no resource",
    ("foundation", "ListTasks"): "ecs:ListTasks knows no resource; the condition names the cluster",
    ("foundation", "SparkMetrics"): "cloudwatch:PutMetricData knows no resource; its condition does",
    ("warehouse", "ListTasks"): "ecs:ListTasks knows no resource; the condition names the cluster",
    (
        "lake",
        "cloudwatch:PutMetricData",
    ): "cloudwatch:PutMetricData knows no resource; its condition does",
    ("github", "LogIntoEcr"): "ecr:GetAuthorizationToken knows no resource",
    ("github", "ResourcesWithoutNames"): "CloudFormation makes resources whose names nobody knows before",
}
# Which service assumes the role that stands at a property of a type of resource.
ASSUMED_BY = {
    ("AWS::ECS::TaskDefinition", "TaskRoleArn"): {"ecs-tasks.amazonaws.com"},
    ("AWS::ECS::TaskDefinition", "ExecutionRoleArn"): {"ecs-tasks.amazonaws.com"},
    ("AWS::StepFunctions::StateMachine", "RoleArn"): {"states.amazonaws.com"},
    ("AWS::Scheduler::Schedule", "RoleArn"): {"scheduler.amazonaws.com"},
    ("AWS::Events::Rule", "RoleArn"): {"events.amazonaws.com"},
    ("AWS::RedshiftServerless::Namespace", "DefaultIamRoleArn"): {
        "redshift.amazonaws.com",
        "redshift-serverless.amazonaws.com",
    },
    ("AWS::Athena::WorkGroup", "ExecutionRole"): {"athena.amazonaws.com"},
}
# Deployed with: GitHub itself, and CloudFormation under the second role.
ASSUMED_FROM_OUTSIDE = {("github", "DeployRole"), ("github", "StackRole"), ("github", "OwnerRole")}
ROLES = "/retail-warehouse/"  # path of the roles that CloudFormation makes
MOST_BYTES, MOST_POLICY = 51_200, 6_144  # of a template in a request, and of a managed policy without blanks
# https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-cpu-memory-error.html
FARGATE = {
    512: range(1024, 4097, 1024),
    1024: range(2048, 8193, 1024),
    2048: range(4096, 16385, 1024),
    4096: range(8192, 30721, 1024),
    8192: range(16384, 61441, 4096),
    16384: range(32768, 122881, 8192),
}


def parsed(stack: str, text: str | None = None) -> dict:
    """A template with the long forms of its functions."""
    given = (FOLDER / f"{stack}.yaml").read_text(encoding="utf-8") if text is None else text
    return json.loads(json.dumps(cfn_yaml.loads(given)))


def rule(function):
    RULES[function.__name__] = function
    return function


def of_type(templates: Templates, kind: str) -> Iterator[tuple[str, str, dict]]:
    """Stack, name and properties of the resources of a type."""
    for stack, template in templates.items():
        for name, resource in template["Resources"].items():
            if resource["Type"] == kind:
                yield stack, name, resource.get("Properties", {})


def walk(part, key: str = "") -> Iterator[tuple[str, object]]:
    """Everything below a part of a template, each with the key that it stands at."""
    yield key, part
    if isinstance(part, dict):
        for name, below in part.items():
            yield from walk(below, name)
    elif isinstance(part, list):
        for below in part:
            yield from walk(below, key)


def listed(part) -> list:
    return part if isinstance(part, list) else [part]


def literal(part) -> str:
    """The text of a property, with ``<>`` for what is known only once it is deployed."""
    if isinstance(part, str):
        return part
    [(function, given)] = part.items()
    if function == "Fn::Join":
        return given[0].join(literal(one) for one in given[1])
    if function == "Fn::Sub":
        return re.sub(r"\$\{[^}]*\}", "<>", given)
    return "<>"


def statements(templates: Templates) -> Iterator[tuple[str, str, dict]]:
    """Stack, resource and statement of every policy that allows or denies something to a role."""
    for stack, template in templates.items():
        for name, resource in template["Resources"].items():
            given = resource.get("Properties", {})
            if resource["Type"] == "AWS::IAM::Role":
                documents = [policy["PolicyDocument"] for policy in given.get("Policies", [])]
            elif resource["Type"] == "AWS::IAM::ManagedPolicy":
                documents = [given["PolicyDocument"]]
            else:
                continue
            for document in documents:
                for statement in document["Statement"]:
                    yield stack, name, statement


# Environment, commands and ports.


def _known_variables() -> set[str]:
    from retail_warehouse import settings

    known, classes = {"AWS_DEFAULT_REGION"}, [settings._Environment]
    while classes:
        one = classes.pop()
        classes += one.__subclasses__()
        known |= {name.upper() for name in one.model_fields}
    profile = (PROJECT / "profiles.yml.example").read_text(encoding="utf-8")
    return known | set(re.findall(r"env_var\('(\w+)'", profile)) | _read_by_macros()


def _read_by_macros() -> set[str]:
    macros = [path.read_text(encoding="utf-8") for path in (PROJECT / "macros").rglob("*.sql")]
    return set(re.findall(r"env_var\(['\"](\w+)['\"]", "\n".join(macros)))


def _needed_variables() -> dict[str, set[str]]:
    """By container: what has no default that is right on AWS."""
    profile = (PROJECT / "profiles.yml.example").read_text(encoding="utf-8")
    without_default = set(re.findall(r"env_var\('(REDSHIFT_\w+)'\)", profile)) - {"REDSHIFT_PASSWORD"}
    aws = {"AWS_DEFAULT_REGION", "SERVING_STORE"}
    return {
        "api": aws
        | {"RETAIL_WAREHOUSE_ENV", "ONLINE_RETAIL_LANDING", "LANDING_EVENTS", "COGNITO_ISSUER", "COGNITO_CLIENT_IDS"}
        | {"TRUSTED_PROXIES", "CALLER_HEADER"}
        | {f"COGNITO_{who}_CLAIM" for who in ("CUSTOMER", "USER", "DELIVERY")},
        "batch": aws
        | without_default
        | {"RETAIL_WAREHOUSE_BUCKET", "REDSHIFT_METHOD", "REDSHIFT_REGION"}
        | {"REDSHIFT_IAM_ROLE"},
    }


def containers(templates: Templates) -> Iterator[dict]:
    for _, _, task in of_type(templates, "AWS::ECS::TaskDefinition"):
        yield from task["ContainerDefinitions"]


@rule
def environment(templates: Templates) -> Iterator[str]:
    known, needed = _known_variables(), _needed_variables()
    for container in containers(templates):
        given = [variable["Name"] for variable in container["Environment"]]
        yield from (f"{name} is set twice" for name in sorted(set(given)) if given.count(name) > 1)
        yield from (f"nothing reads {name} of {container['Name']}" for name in given if name not in known)
        missing = needed[container["Name"]] - set(given)
        yield from (f"{container['Name']} needs {name}" for name in sorted(missing))
        values = {variable["Name"]: variable["Value"] for variable in container["Environment"]}
        if container["Name"] == "api" and values.get("RETAIL_WAREHOUSE_ENV") != "production":
            yield "api is not in production"


@rule
def no_secrets(templates: Templates) -> Iterator[str]:
    for container in containers(templates):
        for variable in container["Environment"]:
            if re.search(r"PASSWORD|SECRET|TOKEN|ACCESS_KEY", variable["Name"]):
                yield f"{variable['Name']} would be read by everyone who may look at task definitions"
    for stack, name, _ in of_type(templates, "AWS::IAM::AccessKey"):
        yield f"{stack}: {name} is a key without an end"


def _misunderstood(words: list[str]) -> str:
    """What the command line of the package says to a command; empty if it takes it."""
    from retail_warehouse.cli import main

    program, name, *arguments = words
    if program != "retail-warehouse" or name not in main.commands:
        return "no such command"
    try:
        main.commands[name].make_context(name, arguments)
    except click.ClickException as error:
        return error.format_message()
    return ""


@rule
def commands(templates: Templates) -> Iterator[str]:
    for container in containers(templates):
        if said := _misunderstood(container["Command"]):
            yield f"{' '.join(container['Command'])}: {said}"
    for stack, name, schedule in of_type(templates, "AWS::Scheduler::Schedule"):
        run = json.loads(schedule["Target"]["Input"])["run"]
        if said := _misunderstood(["retail-warehouse", "run", run]):
            yield f"{stack}.{name}: {said}"
    for stack, name, event in of_type(templates, "AWS::Events::Rule"):
        for target in event["Targets"]:
            if said := _misunderstood(["retail-warehouse", "run", json.loads(target["Input"])["run"]]):
                yield f"{stack}.{name}: {said}"
    for _, _, machine in of_type(templates, "AWS::StepFunctions::StateMachine"):
        override = machine["Definition"]["States"]["Run"]["Parameters"]["Overrides"]["ContainerOverrides"][0]
        if override["Command.$"] != "States.Array('retail-warehouse', 'run', $.run)":
            yield f"the state machine runs {override['Command.$']}"


@rule
def ports(templates: Templates) -> Iterator[str]:
    [api] = [container for container in containers(templates) if container["Name"] == "api"]
    port = int(api["Command"][api["Command"].index("--port") + 1])
    found = {
        "port mapping": api["PortMappings"][0]["ContainerPort"],
        "health check": int(re.search(r"127\.0\.0\.1:(\d+)/health", api["HealthCheck"]["Command"][-1])[1]),
    }
    for _, _, service in of_type(templates, "AWS::ECS::Service"):
        found["service"] = service["ServiceRegistries"][0]["ContainerPort"]
    groups = {name: group for _, name, group in of_type(templates, "AWS::EC2::SecurityGroup")}
    found["way in"] = groups["TaskSecurity"]["SecurityGroupIngress"][0]["FromPort"]
    found["way out of the link"] = groups["LinkSecurity"]["SecurityGroupEgress"][0]["ToPort"]
    yield from (f"{what} is {number}, the API listens at {port}" for what, number in found.items() if number != port)
    if "0.0.0.0" not in api["Command"]:
        yield "nothing but the container itself reaches the API"


# What stands in the tables, who may ask, and where.


def _made_by_the_code() -> dict[str, dict]:
    """What the code asks DynamoDB for when it makes a table, by the name in the template."""
    from retail_warehouse.serving.dynamodb_store import create_table
    from retail_warehouse.serving.predictions_dynamodb import create_predictions_table
    from retail_warehouse.streaming.event_list import create_events_table

    makes = {"Lines": create_table, "Predictions": create_predictions_table, "Events": create_events_table}
    made = {}
    for name, make in makes.items():
        client = MagicMock()
        make(client, name)
        made[name] = client.create_table.call_args.kwargs
    return made


@rule
def tables(templates: Templates) -> Iterator[str]:
    found = {name: table for _, name, table in of_type(templates, "AWS::DynamoDB::Table")}
    made = _made_by_the_code()
    yield from (f"{name} is made by nothing, or by no template" for name in sorted(found.keys() ^ made.keys()))
    for name in sorted(found.keys() & made.keys()):
        for key in ("AttributeDefinitions", "KeySchema", "GlobalSecondaryIndexes", "BillingMode"):
            if sorted(map(str, listed(found[name].get(key)))) != sorted(map(str, listed(made[name].get(key)))):
                yield f"{name}: {key} is not that of the code"
    if "Lines" in found and literal(found["Predictions"]["TableName"]) != literal(found["Lines"]["TableName"]) + (
        "-predictions"
    ):
        yield "the predictions are not beside the look-ups"


def _routes_of_the_code() -> dict[str, str | None]:
    """Which scope each route asks for; None for none. Only what is for customers, the health check, and what the sender
    asks before it sends: the API itself lets anybody ask that, who is inside the network."""
    from retail_warehouse.serving.api import create_app
    from retail_warehouse.serving.predictions_api import predictions_routes
    from retail_warehouse.serving.tokens import WRITE

    pieces = [predictions_routes(MagicMock(), has_shop=False)]
    described = create_app(lambda: None, MagicMock(), MagicMock(), further=pieces).openapi()
    found = {}
    for path, operations in described["paths"].items():
        for method, operation in operations.items():
            security = operation.get("security", [])
            if security or path == "/health":
                [scope] = security[0]["token"] if security else [None]
                found[f"{method.upper()} {path}"] = scope
            elif path == "/ready":
                found[f"{method.upper()} {path}"] = WRITE
    return found


@rule
def routes(templates: Templates) -> Iterator[str]:
    found = {}
    for _, _, route in of_type(templates, "AWS::ApiGatewayV2::Route"):
        scopes = route.get("AuthorizationScopes", [])
        is_open = route["AuthorizationType"] == "NONE"
        found[route["RouteKey"]] = None if is_open else ",".join(scopes)
    wanted = _routes_of_the_code()
    for key in sorted(found.keys() | wanted.keys()):
        if key not in wanted or key not in found:
            yield f"{key} is in {'the template' if key in found else 'the code'} alone"
        elif found[key] != wanted[key]:
            yield f"{key} asks for {found[key]}, in the code for {wanted[key]}"


@rule
def scopes(templates: Templates) -> Iterator[str]:
    from retail_warehouse.serving.tokens import READ, READ_PREDICTIONS, WRITE

    made = {
        f"{server['Identifier']}/{scope['ScopeName']}"
        for _, _, server in of_type(templates, "AWS::Cognito::UserPoolResourceServer")
        for scope in server["Scopes"]
    }
    known = {READ, WRITE, READ_PREDICTIONS}
    yield from (f"{scope} is in the pool or in the code alone" for scope in sorted(made ^ known))
    granted = set()
    for _, name, client in of_type(templates, "AWS::Cognito::UserPoolClient"):
        granted |= set(client["AllowedOAuthScopes"])
        yield from (f"{name} gets {scope}, which nobody knows" for scope in set(client["AllowedOAuthScopes"]) - made)
        if WRITE in client["AllowedOAuthScopes"] and len(client["AllowedOAuthScopes"]) > 1:
            yield f"{name} may both send and read"
        if not client["GenerateSecret"] or client["AllowedOAuthFlows"] != ["client_credentials"]:
            yield f"{name} is no program with a secret"
    yield from (f"nobody gets {scope}" for scope in sorted(known - granted))


# https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-parameter-mapping.html#http-api-mapping-reserved-headers
_RESERVED = re.compile(
    r"access-control-.*|apigw-.*|x-amzn?-.*|authorization|connection|content-(encoding|length|location)|forwarded"
    r"|keep-alive|origin|proxy-(authenticate|authorization)|te|trailers|transfer-encoding|upgrade|via"
    r"|x-forwarded-(for|host|proto)"
)


@rule
def caller(templates: Templates) -> Iterator[str]:
    [api] = [container for container in containers(templates) if container["Name"] == "api"]
    [read] = [variable["Value"] for variable in api["Environment"] if variable["Name"] == "CALLER_HEADER"]
    for stack, name, integration in of_type(templates, "AWS::ApiGatewayV2::Integration"):
        mapped = integration.get("RequestParameters", {})
        if mapped.get(f"overwrite:header.{read}") != "$context.identity.sourceIp":
            yield f"{stack}.{name}: a client may write {read}"
        for header in (key.partition("header.")[2] for key in mapped):
            if _RESERVED.fullmatch(header.lower()):
                yield f"{stack}.{name}: API Gateway lets no mapping change {header}"


# Times.

_FIELDS = (
    r"[0-5]?\d",
    r"[01]?\d|2[0-3]",
    r"0?[1-9]|[12]\d|3[01]|L|(?:[1-9]|[12]\d|3[01])W",
    r"0?[1-9]|1[0-2]|JAN|FEB|MAR|APR|MAY|JUN|JUL|AUG|SEP|OCT|NOV|DEC",
    r"[1-7]L?|[1-7]#[1-5]|SUN|MON|TUE|WED|THU|FRI|SAT|L",
    r"19[7-9]\d|2[01]\d\d",
)


def wrong_with_cron(text: str) -> str:
    """What is wrong with a cron expression of EventBridge; empty if nothing.

    https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html#cron-based
    """
    inside = re.fullmatch(r"cron\((.*)\)", text)
    fields = inside[1].split(" ") if inside else []
    if len(fields) != 6:
        return "it has not six fields"
    if [fields[2], fields[4]].count("?") != 1:
        return "one of day of month and day of week has to be ?, and one not"
    for number, (field, one) in enumerate(zip(fields, _FIELDS, strict=True)):
        part = rf"(?:(?:{one})(?:-(?:{one}))?|\*)(?:/\d+)?"
        question = r"|\?" if number in (2, 4) else ""
        if not re.fullmatch(rf"{part}(?:,{part})*{question}", field):
            return f"{field} cannot stand there"
    return ""


@rule
def crons(templates: Templates) -> Iterator[str]:
    for stack, name, schedule in of_type(templates, "AWS::Scheduler::Schedule"):
        given = schedule["ScheduleExpression"]
        text = given if isinstance(given, str) else templates[stack]["Parameters"][given["Ref"]]["Default"]
        if said := wrong_with_cron(text):
            yield f"{stack}.{name}, {text}: {said}"
