"""Further rules of the templates: who may do what, what is public, what stays, and what refers to what."""

import fnmatch
import json
import re
from collections.abc import Iterator

from conftest import PROJECT

from shared.template_rules import (
    ANY_RESOURCE,
    ASSUMED_BY,
    ASSUMED_FROM_OUTSIDE,
    FARGATE,
    FOLDER,
    MOST_BYTES,
    MOST_POLICY,
    ROLES,
    Templates,
    listed,
    literal,
    of_type,
    rule,
    statements,
    walk,
)

# Rights.


@rule
def resources_are_named(templates: Templates) -> Iterator[str]:
    found = set()
    for stack, name, statement in statements(templates):
        where = (stack, statement.get("Sid") or str(statement["Action"]))
        if "*" in listed(statement["Action"]):
            yield f"{stack}.{name} allows every action"
        if statement["Effect"] == "Allow" and "*" in map(literal, listed(statement["Resource"])):
            found.add(where)
            if where not in ANY_RESOURCE:
                yield f"{stack}.{name} allows {statement['Action']} on every resource, without a reason"
    yield from (f"no statement needs the reason {where}" for where in sorted(ANY_RESOURCE.keys() - found))


@rule
def actions_are_named(templates: Templates) -> Iterator[str]:
    for stack, name, statement in statements(templates):
        wide = [action for action in listed(statement["Action"]) if "*" in action]
        if wide and statement["Effect"] == "Allow" and (stack, name) != ("github", "StackRole"):
            yield f"{stack}.{name} allows {', '.join(wide)}"
    for stack, name, role in of_type(templates, "AWS::IAM::Role"):
        given = [literal(arn) for arn in role.get("ManagedPolicyArns", [])]
        if given and (stack, name) != ("github", "OwnerRole"):  # which stands for the administrator who deploys
            yield f"{stack}.{name} has {', '.join(given)}"


def _boundary(templates: Templates) -> list[str]:
    [document] = [
        policy["PolicyDocument"]
        for _, name, policy in of_type(templates, "AWS::IAM::ManagedPolicy")
        if name == "Boundary"
    ]
    return [action for statement in document["Statement"] for action in listed(statement["Action"])]


@rule
def roles_stay_within_the_boundary(templates: Templates) -> Iterator[str]:
    allowed = _boundary(templates)
    for stack, name, role in of_type(templates, "AWS::IAM::Role"):
        if stack == "github":
            continue
        given = role.get("PermissionsBoundary")
        if given not in ({"Ref": "Boundary"}, {"Fn::ImportValue": {"Fn::Sub": "${Foundation}-Boundary"}}):
            yield f"{stack}.{name} has no boundary"
        for policy in role.get("Policies", []):
            for statement in policy["PolicyDocument"]["Statement"]:
                for action in listed(statement["Action"]):
                    if not any(fnmatch.fnmatchcase(action, pattern) for pattern in allowed):
                        yield f"{stack}.{name} may {action}, which the boundary does not let through"


def _rights_of_github(templates: Templates) -> list[dict]:
    return [
        statement
        for stack, name, statement in statements(templates)
        if (stack, name) == ("github", "StackRole") and statement["Effect"] == "Allow"
    ]


@rule
def github_reaches_roles_of_one_path_alone(templates: Templates) -> Iterator[str]:
    # IAM has no condition on the boundary for some of these, so it is the path that keeps other roles out.
    for stack, name, role in of_type(templates, "AWS::IAM::Role"):
        if (role.get("Path") == ROLES) == (stack == "github"):
            yield f"{stack}.{name} has the path {role.get('Path')}"
    writing = re.compile(r"iam:(?!Get|List)\w*")
    for statement in _rights_of_github(templates):
        for action in filter(writing.fullmatch, listed(statement["Action"])):
            for resource in map(literal, listed(statement["Resource"])):
                within = rf":role{ROLES}<>-\*$|:role/aws-service-role/|:policy/"
                if not re.search(within, resource):
                    yield f"CloudFormation may {action} on {resource}"
    for stack, name, statement in statements(templates):
        if statement["Effect"] == "Allow" and "iam:PassRole" in listed(statement["Action"]):
            for resource in map(str, listed(statement["Resource"])):
                if "OwnerRole" in resource or "role/*" in resource or resource == "*":
                    yield f"{stack}.{name} may pass the role of the owner"


# What nobody changes by merging: the data, and what keeps them.
DATA_ACTIONS = [
    *("s3:GetObject", "s3:GetObjectVersion", "s3:PutObject", "s3:DeleteObject", "s3:DeleteObjectVersion"),
    *("s3:DeleteBucket", "s3:PutBucketPolicy", "s3:DeleteBucketPolicy", "s3:PutBucketPublicAccessBlock"),
    *("s3:PutBucketAcl", "s3:PutBucketVersioning", "s3:PutBucketOwnershipControls", "s3:PutLifecycleConfiguration"),
    *("s3:PutReplicationConfiguration", "s3:PutEncryptionConfiguration"),
    *("dynamodb:GetItem", "dynamodb:BatchGetItem", "dynamodb:Query", "dynamodb:Scan", "dynamodb:PartiQLSelect"),
    *("dynamodb:PutItem", "dynamodb:UpdateItem", "dynamodb:DeleteItem", "dynamodb:BatchWriteItem"),
    *("dynamodb:DeleteTable", "dynamodb:UpdateTable", "dynamodb:UpdateContinuousBackups"),
    *("dynamodb:PutResourcePolicy", "dynamodb:ExportTableToPointInTime", "dynamodb:RestoreTableToPointInTime"),
]


@rule
def github_changes_no_data(templates: Templates) -> Iterator[str]:
    for statement in _rights_of_github(templates):
        for pattern in listed(statement["Action"]):
            found = sorted(action for action in DATA_ACTIONS if fnmatch.fnmatchcase(action, pattern))
            if found:
                yield f"CloudFormation may {', '.join(found)}"


@rule
def github_makes_no_role_outside_the_boundary(templates: Templates) -> Iterator[str]:
    rights = _rights_of_github(templates)
    dangerous = {"iam:CreateRole", "iam:PutRolePolicy", "iam:PutRolePermissionsBoundary", "iam:DeleteRolePolicy"}
    for statement in rights:
        actions = set(listed(statement["Action"]))
        named = statement.get("Condition", {}).get("StringEquals", {}).get("iam:PermissionsBoundary")
        if actions & dangerous and (named is None or not literal(named).endswith("-boundary")):
            yield f"{sorted(actions & dangerous)} without the boundary"
        forbidden = {"iam:AttachRolePolicy", "iam:DeleteRolePermissionsBoundary", "iam:AttachUserPolicy"}
        yield from (f"CloudFormation may {action}" for action in sorted(actions & forbidden))
        writes = {"iam:CreatePolicy", "iam:CreatePolicyVersion", "iam:SetDefaultPolicyVersion"} & actions
        for resource in map(literal, listed(statement["Resource"])):
            if writes and fnmatch.fnmatchcase("arn:aws:iam::1:policy/retail-boundary", resource.replace("<>", "*")):
                yield f"CloudFormation may change the boundary by {resource}"


@rule
def trust(templates: Templates) -> Iterator[str]:
    needed: dict[tuple[str, str], set[str]] = {}
    for stack, template in templates.items():
        for resource in template["Resources"].values():
            for key, part in walk(resource.get("Properties", {})):
                services = ASSUMED_BY.get((resource["Type"], key))
                if services and isinstance(part, dict):
                    needed.setdefault(_role_of(templates, stack, part), set()).update(services)
    for stack, name, role in of_type(templates, "AWS::IAM::Role"):
        if (stack, name) in ASSUMED_FROM_OUTSIDE:
            continue
        trusted = set()
        for statement in role["AssumeRolePolicyDocument"]["Statement"]:
            trusted |= set(listed(statement["Principal"].get("Service", [])))
            if set(statement["Principal"]) != {"Service"}:
                yield f"{stack}.{name} trusts more than services"
            if "aws:SourceAccount" not in statement.get("Condition", {}).get("StringEquals", {}):
                yield f"{stack}.{name} is assumed for any account"
        if trusted != needed.get((stack, name), set()):
            yield f"{stack}.{name} trusts {sorted(trusted)}, and is used by {sorted(needed.get((stack, name), []))}"


def _role_of(templates: Templates, stack: str, part: dict) -> tuple[str, str]:
    if "Fn::GetAtt" in part:
        given = part["Fn::GetAtt"]
        return stack, given[0] if isinstance(given, list) else given.partition(".")[0]
    export = part["Fn::ImportValue"]["Fn::Sub"].removeprefix("${Foundation}-")
    return _role_of(templates, "foundation", templates["foundation"]["Outputs"][export]["Value"])


@rule
def github_is_one_environment_of_one_repository(templates: Templates) -> Iterator[str]:
    roles = {name: role for stack, name, role in of_type(templates, "AWS::IAM::Role") if stack == "github"}
    [statement] = roles["DeployRole"]["AssumeRolePolicyDocument"]["Statement"]
    wanted = {
        "token.actions.githubusercontent.com:aud": "sts.amazonaws.com",
        "token.actions.githubusercontent.com:sub": {"Fn::Sub": "repo:${Repository}:environment:${Environment}"},
    }
    if statement["Condition"] != {"StringEquals": wanted}:
        yield "a token of another repository, branch or environment would do"
    [made] = [
        statement
        for statement in roles["DeployRole"]["Policies"][0]["PolicyDocument"]["Statement"]
        if statement["Effect"] == "Allow" and "cloudformation:CreateChangeSet" in listed(statement["Action"])
    ]
    named = {"ArnEquals": {"cloudformation:RoleArn": {"Fn::GetAtt": ["StackRole", "Arn"]}}}
    if made.get("Condition") != named:
        yield "a deployment may be under other rights than those of StackRole"
    [stack_role] = roles["StackRole"]["AssumeRolePolicyDocument"]["Statement"]
    if stack_role["Principal"] != {"Service": "cloudformation.amazonaws.com"}:
        yield "more than CloudFormation works under the role of the stacks"


@rule
def prefixes(templates: Templates) -> Iterator[str]:
    from retail_warehouse.runs.bucket import PREFIXES, RAW

    for stack, name, statement in statements(templates):
        for resource in map(literal, listed(statement["Resource"])):
            below = re.fullmatch(r"<>/(\w+)/\*", resource)
            if below and below[1] not in PREFIXES:
                yield f"{stack}.{name} is about {below[1]}/, which the bucket has not"
            writes = [action for action in listed(statement["Action"]) if re.search(r"Put|Delete", action)]
            if below and below[1] == RAW and writes:
                yield f"{stack}.{name} may {', '.join(writes)} below {RAW}/"
    for _, _, event in of_type(templates, "AWS::Events::Rule"):
        for key in event["EventPattern"]["detail"]["object"]["key"]:
            if key not in (f"{RAW}/instacart/_SUCCESS", f"{RAW}/online_retail/_SUCCESS"):
                yield f"no source has the marker {key}"


# Redshift may look at the bucket without naming a prefix; it sees names there, no contents.
LISTS_ALL = {("warehouse", "CopyRole"), ("foundation", "Boundary"), ("github", "DeployRole"), ("github", "StackRole")}


@rule
def buckets_are_listed_by_prefix(templates: Templates) -> Iterator[str]:
    for stack, name, statement in statements(templates):
        if "s3:ListBucket" not in listed(statement["Action"]) or (stack, name) in LISTS_ALL:
            continue
        if not statement.get("Condition", {}).get("StringLike", {}).get("s3:prefix"):
            yield f"{stack}.{name} may list the whole bucket"


@rule
def endpoints_lead_to_own_data_alone(templates: Templates) -> Iterator[str]:
    for stack, name, endpoint in of_type(templates, "AWS::EC2::VPCEndpoint"):
        for statement in endpoint.get("PolicyDocument", {"Statement": [{"Resource": "*"}]})["Statement"]:
            for resource in map(literal, listed(statement["Resource"])):
                if not re.search(r":s3:::<>(/\*)?$|:s3:::prod-<>-starport-layer-bucket/\*$|:table/<>-\*$", resource):
                    yield f"{stack}.{name} leads to {resource}"


@rule
def stores_are_encrypted(templates: Templates) -> Iterator[str]:
    for stack, name, topic in of_type(templates, "AWS::SNS::Topic"):
        if topic.get("KmsMasterKeyId") != {"Fn::GetAtt": ["AlarmsKey", "Arn"]}:
            yield f"{stack}.{name} is not encrypted with a key that CloudWatch may use"
    for stack, name, bucket in of_type(templates, "AWS::S3::Bucket"):
        if not bucket.get("BucketEncryption"):
            yield f"{stack}.{name} is not encrypted"
    users = {
        service
        for _, _, key in of_type(templates, "AWS::KMS::Key")
        for statement in key["KeyPolicy"]["Statement"]
        for service in listed(statement["Principal"].get("Service", []))
    }
    if "cloudwatch.amazonaws.com" not in users:
        yield "an alarm of CloudWatch does not reach the topic"


# What is public, and what stays.


@rule
def nothing_but_the_api_is_public(templates: Templates) -> Iterator[str]:
    for stack, name, group in of_type(templates, "AWS::EC2::SecurityGroup"):
        for key, part in walk(group.get("SecurityGroupIngress", [])):
            if key in ("CidrIp", "CidrIpv6") and part != {"Ref": "BiCidr"}:
                yield f"{stack}.{name} lets in {part}"
    for stack, name, bucket in of_type(templates, "AWS::S3::Bucket"):
        blocks = bucket.get("PublicAccessBlockConfiguration", {})
        if len(blocks) != 4 or set(blocks.values()) != {True}:
            yield f"{stack}.{name} can be made public"
    for stack, name, group in of_type(templates, "AWS::RedshiftServerless::Workgroup"):
        if templates[stack]["Parameters"][group["PubliclyAccessible"]["Ref"]]["Default"] != "false":
            yield f"{stack}.{name} is public unless told otherwise"
        if {"ParameterKey": "require_ssl", "ParameterValue": "true"} not in group["ConfigParameters"]:
            yield f"{stack}.{name} takes connections without TLS"
    cidr = templates["foundation"]["Parameters"]["BiCidr"]["AllowedPattern"]
    yield from (f"BiCidr may be {text}" for text in ("0.0.0.0/0", "10.0.0.0/8") if re.fullmatch(cidr, text))


@rule
def only_tls(templates: Templates) -> Iterator[str]:
    for kind in ("AWS::S3::BucketPolicy", "AWS::SNS::TopicPolicy"):
        for stack, name, policy in of_type(templates, kind):
            denied = [
                statement
                for statement in policy["PolicyDocument"]["Statement"]
                if (statement["Effect"], statement["Principal"]) == ("Deny", "*")
                and statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
            ]
            if not denied or (kind.endswith("BucketPolicy") and denied[0]["Action"] != "s3:*"):
                yield f"{stack}.{name} takes requests without TLS"


@rule
def data_stay(templates: Templates) -> Iterator[str]:
    for name in ("Data", "Events", "Lines", "Predictions"):
        resource = templates["foundation"]["Resources"][name]
        for policy in ("DeletionPolicy", "UpdateReplacePolicy"):
            if resource.get(policy) != "Retain":
                yield f"{name} goes with the stack"
    for name in ("Events", "Lines"):
        if templates["foundation"]["Resources"][name]["Properties"].get("DeletionProtectionEnabled") is not True:
            yield f"{name} can be deleted by one request"
    if templates["api"]["Resources"]["Pool"]["Properties"].get("DeletionProtection") != {"Ref": "PoolProtection"}:
        yield "the pool can be deleted by one request"
    if templates["foundation"]["Resources"]["Data"]["Properties"]["VersioningConfiguration"]["Status"] != "Enabled":
        yield "an object that is overwritten is gone"


@rule
def somebody_is_told(templates: Templates) -> Iterator[str]:
    from retail_warehouse.runs.run import OK, SKIPPED, SUCCEEDED

    for stack, name, alarm in of_type(templates, "AWS::CloudWatch::Alarm"):
        if alarm.get("AlarmActions") != [{"Fn::ImportValue": {"Fn::Sub": "${Foundation}-Alarms"}}]:
            yield f"{stack}.{name} tells nobody"
        if alarm["Period"] < 3600 and alarm["Period"] * alarm["EvaluationPeriods"] > 86_400:
            yield f"{stack}.{name} looks back too far"
    alarms = {name: alarm for _, name, alarm in of_type(templates, "AWS::CloudWatch::Alarm")}
    [(_, _, counted)] = of_type(templates, "AWS::Logs::MetricFilter")
    metric = counted["MetricTransformations"][0]
    if {key: alarms["NoNightlyRun"][key] for key in ("MetricName", "Namespace")} != {
        "MetricName": metric["MetricName"],
        "Namespace": metric["MetricNamespace"],
    }:
        yield "the alarm of missing runs looks at what nothing counts"
    if alarms["NoNightlyRun"]["TreatMissingData"] != "breaching":
        yield "a missing run is no alarm"
    words = re.findall(r'"([^"]*)"', counted["FilterPattern"])
    read = re.findall(r"\$\.(\w+)", counted["FilterPattern"])
    if words != ["nightly", SUCCEEDED, SKIPPED] or read != ["run", "status", "status", "exit_code"]:
        yield "the last line of a nightly run is another"
    watched = {alarm["MetricName"] for alarm in alarms.values() if alarm["Namespace"] == "AWS/States"}
    missing = {"ExecutionsFailed", "ExecutionsTimedOut", "ExecutionsAborted"} - watched
    yield from (f"nobody is told of {metric}" for metric in sorted(missing))
    if not counted["FilterPattern"].endswith(f"&& ($.exit_code = {OK}) }}"):
        yield "a run that found another one counts as done"
    if templates["foundation"]["Resources"]["Budget"].get("Condition"):
        yield "there may be no budget"


# What refers to what.


def _wrong_with_size(templates: Templates, name: str, size: dict[str, dict]) -> Iterator[str]:
    """What is wrong with the size of a run, whose parts refer to parameters."""
    [task] = [task for stack, _, task in of_type(templates, "AWS::ECS::TaskDefinition") if stack == "warehouse"]
    if name == "Usual" and size != {key: task[key] for key in size}:
        yield f"{name} is not the size of the task"
    known = templates["warehouse"]["Parameters"]
    cpu, memory = (int(known[size[key]["Ref"]]["Default"]) for key in ("Cpu", "Memory"))
    if memory not in FARGATE[cpu]:
        yield f"{name}: Fargate has no {cpu} with {memory}"


@rule
def state_machine(templates: Templates) -> Iterator[str]:
    for _, _, machine in of_type(templates, "AWS::StepFunctions::StateMachine"):
        definition, given = machine["Definition"], machine["DefinitionSubstitutions"]
        states, targets = definition["States"], {definition["StartAt"]}
        for key, part in walk(states):
            if key in ("Next", "Default") and isinstance(part, str):
                targets.add(part)
        yield from (f"no state is called {name}" for name in sorted(targets - states.keys()))
        yield from (f"nothing leads to {name}" for name in sorted(states.keys() - targets))
        texts = [part for _, part in walk(states) if isinstance(part, str)]
        named = {name for text in texts for name in re.findall(r"^\$\{(\w+)\}$", text)}
        yield from (f"{name} is not given, or given for nothing" for name in sorted(named ^ given.keys()))
        for name, state in states.items():
            size = state.get("Result")
            if isinstance(size, dict):
                yield from _wrong_with_size(templates, name, {key: given[text[2:-1]] for key, text in size.items()})
            if state["Type"] == "Task" and "Catch" not in state and name != "Tell":
                yield f"{name} fails without a word"


@rule
def imports(templates: Templates) -> Iterator[str]:
    exported = set()
    for name, output in templates["foundation"]["Outputs"].items():
        if output["Export"]["Name"] != {"Fn::Sub": "${AWS::StackName}-" + name}:
            yield f"the output {name} is exported under another name"
        exported.add("${Foundation}-" + name)
    for stack, template in templates.items():
        for key, part in walk(template):
            if key == "Fn::ImportValue" and part["Fn::Sub"] not in exported:
                yield f"{stack} imports {part['Fn::Sub']}, which nothing exports"


@rule
def parameters(templates: Templates) -> Iterator[str]:
    given = {"Name", "BucketName", "AlarmEmail", "Image", "DomainPrefix", "Repository"}  # by deploy.py
    for stack, template in templates.items():
        for name, parameter in template["Parameters"].items():
            if not parameter.get("Description"):
                yield f"{stack}: {name} is not described"
            if "Default" not in parameter and name not in given:
                yield f"{stack}: {name} has no default, and deploy.py does not give it"


@rule
def image_repository(templates: Templates) -> Iterator[str]:
    for _, name, repository in of_type(templates, "AWS::ECR::Repository"):
        try:
            [kept] = json.loads(repository["LifecyclePolicy"]["LifecyclePolicyText"])["rules"]
        except ValueError as error:
            yield f"{name}: the lifecycle is no JSON, {error}"
            continue
        if kept["action"] != {"type": "expire"} or kept["selection"]["countNumber"] < 2:
            yield f"{name}: the image that runs may expire"
        if repository["ImageTagMutability"] != "IMMUTABLE":
            yield f"{name}: a tag may come to mean another image"


@rule
def sizes(templates: Templates) -> Iterator[str]:
    for stack, template in templates.items():
        size = len((FOLDER / f"{stack}.yaml").read_bytes())
        if size > MOST_BYTES:
            yield f"{stack}.yaml has {size} bytes"
        for name, resource in template["Resources"].items():
            if resource["Type"] == "AWS::IAM::ManagedPolicy":
                # References become longer once they are resolved.
                text = re.sub(r"\s", "", json.dumps(resource["Properties"]["PolicyDocument"]))
                if len(text) > MOST_POLICY:
                    yield f"{stack}.{name} has {len(text)} characters"


@rule
def documented(templates: Templates) -> Iterator[str]:
    # The account of a template's parameters is the template; that of what the image reads is docs/settings.md.
    settings = (PROJECT / "docs/settings.md").read_text(encoding="utf-8")
    for _, _, task in of_type(templates, "AWS::ECS::TaskDefinition"):
        for container in task["ContainerDefinitions"]:
            for variable in container["Environment"]:
                if f"`{variable['Name']}`" not in settings and variable["Name"] != "AWS_DEFAULT_REGION":
                    yield f"docs/settings.md does not know {variable['Name']}"
