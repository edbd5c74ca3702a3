"""The templates of infrastructure/: cfn-lint knows what AWS knows of each type, and rules of our own tie them to the
code. Each rule finds a fault that is planted for it."""

import subprocess
import sys
from pathlib import Path

import cfnlint.api
import pytest
from shared import template_rights  # fills RULES too
from shared.template_rules import FOLDER, RULES, STACKS, parsed, wrong_with_cron

TEXTS = {stack: (FOLDER / f"{stack}.yaml").read_text(encoding="utf-8") for stack in STACKS}


@pytest.fixture(scope="module")
def templates():
    return {stack: parsed(stack) for stack in STACKS}


def test_cfn_lint_finds_nothing():
    program = Path(sys.executable).parent / "cfn-lint"
    files = [str(FOLDER / f"{stack}.yaml") for stack in STACKS]
    done = subprocess.run([program, *files], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_cfn_lint_finds_planted_faults():
    faults = [
        ("MaxSessionDuration", "MaxSessionDurations", "E3002"),
        ("Resource: !GetAtt StackRole.Arn", "Resource: !GetAtt StackRoles.Arn", "E1010"),
        ("iam:DeleteRole,", "iam:RemoveRole,", "W3037"),
        ("environment:${Environment}", "environment:*", "W2001"),
    ]
    text = TEXTS["github"]
    for part, instead, _ in faults:
        assert text.count(part) == 1
        text = text.replace(part, instead)
    assert {found for *_, found in faults} <= {problem.rule.id for problem in cfnlint.api.lint(text)}


@pytest.mark.parametrize("name", RULES)
def test_rule(templates, name):
    assert list(RULES[name](templates)) == []


ROLE = '!Sub "arn:${AWS::Partition}:iam::${AWS::AccountId}:role'
# What stands in a template, what instead, and what the rule says of it.
FAULTS = [
    ("environment", "api", "Name: LANDING_EVENTS", "Name: LANDING_EVENT", "nothing reads LANDING_EVENT of api"),
    ("environment", "api", "Name: LANDING_EVENTS", "Name: LOG_LEVEL", "api needs LANDING_EVENTS"),
    ("environment", "warehouse", "Name: REDSHIFT_SCHEMA", "Name: REDSHIFT_SCHEME", "batch needs REDSHIFT_SCHEMA"),
    (
        "environment",
        "api",
        "Name: COGNITO_USER_CLAIM, Value",
        "Name: LOG_FORMAT, Value",
        "api needs COGNITO_USER_CLAIM",
    ),
    ("environment", "api", "Value: production", "Value: development", "api is not in production"),
    ("no_secrets", "warehouse", "Name: REDSHIFT_SCHEMA", "Name: REDSHIFT_PASSWORD", "REDSHIFT_PASSWORD would be read"),
    ("documented", "warehouse", "Name: REDSHIFT_SCHEMA", "Name: REDSHIFT_SCHEME", "does not know REDSHIFT_SCHEME"),
    ("commands", "api", "--host, 0.0.0.0", "--hosts, 0.0.0.0", "--hosts"),
    ("commands", "warehouse", "[retail-warehouse, run, nightly]", "[retail-warehouse, run, daily]", "daily"),
    ("commands", "warehouse", '\'{"run": "train"}\'', '\'{"run": "training"}\'', "EveryTraining"),
    ("commands", "warehouse", "'run', $.run)", "$.run)", "the state machine runs"),
    ("ports", "api", "{ContainerPort: 8000}", "{ContainerPort: 8080}", "port mapping is 8080"),
    ("ports", "api", "127.0.0.1:8000/health", "127.0.0.1:80/health", "health check is 80"),
    (
        "ports",
        "foundation",
        "FromPort: 8000, ToPort: 8000, SourceSecurityGroupId",
        "FromPort: 8001, ToPort: 8001, SourceSecurityGroupId",
        "way in is 8001",
    ),
    (
        "tables",
        "foundation",
        "{AttributeName: part, KeyType: RANGE}",
        "{AttributeName: key, KeyType: RANGE}",
        "Predictions: KeySchema",
    ),
    ("tables", "foundation", "IndexName: by_customer", "IndexName: by_client", "Lines: GlobalSecondaryIndexes"),
    ("tables", "foundation", "ProjectionType: KEYS_ONLY", "ProjectionType: ALL", "Events: GlobalSecondaryIndexes"),
    ("tables", "foundation", "${Name}-lines-predictions", "${Name}-predictions", "not beside the look-ups"),
    ("routes", "api", "RouteKey: GET /products", "RouteKey: GET /product", "GET /products is in the code alone"),
    (
        "routes",
        "api",
        "RouteKey: POST /carts/next\n      AuthorizationType: JWT",
        "RouteKey: POST /carts/next\n      AuthorizationType: NONE",
        "POST /carts/next asks for None",
    ),
    (
        "routes",
        "api",
        "RouteKey: POST /transactions\n      AuthorizationType: JWT\n      AuthorizerId: !Ref Tokens\n      "
        "AuthorizationScopes: [transactions/write]",
        "RouteKey: POST /transactions\n      AuthorizationType: JWT\n      AuthorizerId: !Ref Tokens\n      "
        "AuthorizationScopes: [transactions/read]",
        "POST /transactions asks for transactions/read",
    ),
    ("scopes", "api", "ScopeName: write", "ScopeName: send", "transactions/send is in the pool"),
    (
        "scopes",
        "api",
        "AllowedOAuthScopes: [transactions/write]",
        "AllowedOAuthScopes: [transactions/write, transactions/read]",
        "Till may both",
    ),
    (
        "scopes",
        "api",
        "AllowedOAuthScopes: [transactions/read, predictions/read]",
        "AllowedOAuthScopes: [transactions/read]",
        "nobody gets predictions/read",
    ),
    ("crons", "warehouse", "cron(0 2 * * ? *)", "cron(0 2 * * *)", "EveryNight"),
    (
        "resources_are_named",
        "warehouse",
        "Resource: !Ref Runs",
        'Resource: "*"',
        "ScheduleRole allows states:StartExecution",
    ),
    ("resources_are_named", "github", "Action: sns:*", 'Action: "*"', "allows every action"),
    (
        "actions_are_named",
        "api",
        "Action: [dynamodb:GetItem, dynamodb:Query]",
        "Action: dynamodb:*",
        "ApiRole allows dynamodb:*",
    ),
    (
        "roles_stay_within_the_boundary",
        "warehouse",
        '-batch"\n      PermissionsBoundary:',
        '-batch"\n      Boundary:',
        "BatchRole has no boundary",
    ),
    (
        "roles_stay_within_the_boundary",
        "foundation",
        "redshift-serverless:GetCredentials",
        "redshift-serverless:GetWorkgroup",
        "BatchRole may redshift-serverless:GetCredentials",
    ),
    (
        "github_makes_no_role_outside_the_boundary",
        "github",
        'policy/${Name}-boundary"}}',
        'policy/${Name}-any"}}',
        "iam:CreateRole",
    ),
    (
        "github_makes_no_role_outside_the_boundary",
        "github",
        "policy/${Name}-lake-*",
        "policy/${Name}-*",
        "change the boundary",
    ),
    (
        "github_makes_no_role_outside_the_boundary",
        "github",
        "iam:UpdateRole,",
        "iam:AttachRolePolicy,",
        "CloudFormation may iam:AttachRolePolicy",
    ),
    (
        "github_reaches_roles_of_one_path_alone",
        "warehouse",
        "Path: /retail-warehouse/\n      RoleName: !Sub",
        "Path: /\n      RoleName: !Sub",
        "BatchRole has the path /",
    ),
    (
        "github_reaches_roles_of_one_path_alone",
        "github",
        f"iam:UntagRole]\n                Resource: {ROLE}/retail-warehouse/",
        f"iam:UntagRole]\n                Resource: {ROLE}/",
        "CloudFormation may iam:UpdateAssumeRolePolicy on",
    ),
    (
        "github_reaches_roles_of_one_path_alone",
        "github",
        "Action: iam:PassRole\n                Resource: !GetAtt StackRole.Arn",
        "Action: iam:PassRole\n                Resource: !GetAtt OwnerRole.Arn",
        "DeployRole may pass the role of the owner",
    ),
    (
        "github_changes_no_data",
        "github",
        'Action: ["s3:GetBucket*",',
        "Action: [s3:*,",
        "s3:PutBucketPublicAccessBlock",
    ),
    (
        "github_changes_no_data",
        "github",
        'Action: ["dynamodb:Describe*",',
        'Action: ["dynamodb:D*",',
        "CloudFormation may dynamodb:DeleteItem, dynamodb:DeleteTable",
    ),
    ("buckets_are_listed_by_prefix", "warehouse", '"s3:prefix": [raw/*', '"s3:suffix": [raw/*', "BatchRole may list"),
    (
        "endpoints_lead_to_own_data_alone",
        "foundation",
        "-starport-layer-bucket/*",
        "-starport-*",
        "S3Endpoint leads to",
    ),
    (
        "stores_are_encrypted",
        "foundation",
        "KmsMasterKeyId: !GetAtt AlarmsKey.Arn",
        "KmsMasterKeyId: alias/aws/sns",
        "not encrypted with a key",
    ),
    (
        "caller",
        "api",
        "overwrite:header.X-Caller-Address",
        "append:header.X-Caller-Address",
        "a client may write X-Caller-Address",
    ),
    (
        "caller",
        "api",
        "overwrite:header.X-Caller-Address",
        "overwrite:header.X-Forwarded-For",
        "lets no mapping change",
    ),
    ("routes", "api", "RouteKey: GET /ready", "RouteKey: GET /metrics", "GET /ready is in the code alone"),
    (
        "data_stay",
        "foundation",
        '"${Name}-events"\n      DeletionProtectionEnabled: true',
        '"${Name}-events"',
        "Events can be deleted by one request",
    ),
    (
        "somebody_is_told",
        "warehouse",
        "&& ($.exit_code = 0)",
        "|| ($.exit_code = 0)",
        "a run that found another one counts",
    ),
    (
        "trust",
        "warehouse",
        "Service: [scheduler.amazonaws.com, events.amazonaws.com]",
        "Service: scheduler.amazonaws.com",
        "ScheduleRole trusts",
    ),
    (
        "trust",
        "warehouse",
        "Principal: {Service: states.amazonaws.com}",
        "Principal: {Service: lambda.amazonaws.com}",
        "RunsRole trusts",
    ),
    (
        "trust",
        "foundation",
        "Principal: {Service: ecs-tasks.amazonaws.com}",
        'Principal: {AWS: "*"}',
        "more than services",
    ),
    (
        "github_is_one_environment_of_one_repository",
        "github",
        ":environment:${Environment}",
        ":*",
        "of another repository",
    ),
    (
        "github_is_one_environment_of_one_repository",
        "github",
        '"cloudformation:RoleArn": !GetAtt StackRole.Arn',
        '"cloudformation:RoleArn": !GetAtt OwnerRole.Arn',
        "under other rights than those of StackRole",
    ),
    ("prefixes", "api", "/streamed/*]]", "/landed/*]]", "landed/, which the bucket has not"),
    ("prefixes", "warehouse", "/site/*]]", "/raw/*]]", "below raw/"),
    ("prefixes", "warehouse", "raw/instacart/_SUCCESS,", "raw/instacart/_DONE,", "no source has the marker"),
    (
        "nothing_but_the_api_is_public",
        "foundation",
        "SourceSecurityGroupId: !Ref LinkSecurity",
        "CidrIp: 0.0.0.0/0",
        "TaskSecurity lets in 0.0.0.0/0",
    ),
    (
        "nothing_but_the_api_is_public",
        "foundation",
        "RestrictPublicBuckets: true",
        "RestrictPublicBuckets: false",
        "Data can be made public",
    ),
    ("nothing_but_the_api_is_public", "foundation", "/(1[6-9]|", "/([0-9]|1[6-9]|", "BiCidr may be 0.0.0.0/0"),
    (
        "nothing_but_the_api_is_public",
        "warehouse",
        'ParameterKey: require_ssl, ParameterValue: "true"',
        'ParameterKey: require_ssl, ParameterValue: "false"',
        "without TLS",
    ),
    (
        "only_tls",
        "foundation",
        "Action: s3:*\n            Resource: [!GetAtt",
        "Action: s3:GetObject\n            Resource: [!GetAtt",
        "DataPolicy takes requests",
    ),
    (
        "data_stay",
        "foundation",
        "Type: AWS::S3::Bucket\n    DeletionPolicy: Retain",
        "Type: AWS::S3::Bucket\n    DeletionPolicy: Delete",
        "Data goes with the stack",
    ),
    ("somebody_is_told", "warehouse", '$.status = "succeeded"', '$.state = "succeeded"', "the last line"),
    (
        "somebody_is_told",
        "warehouse",
        "MetricName: ExecutionsTimedOut",
        "MetricName: ExecutionsStarted",
        "ExecutionsTimedOut",
    ),
    ("somebody_is_told", "warehouse", "TreatMissingData: breaching", "TreatMissingData: missing", "a missing run"),
    ("somebody_is_told", "api", "      AlarmActions:", "      OKActions:", "Errors tells nobody"),
    ("state_machine", "warehouse", "Next: IsOneRunning", "Next: IsOneRuning", "no state is called IsOneRuning"),
    (
        "state_machine",
        "warehouse",
        'Cluster: "${cluster}", Family',
        'Cluster: "${clusters}", Family',
        "clusters is not given",
    ),
    (
        "state_machine",
        "warehouse",
        'Default: "16384"',
        'Default: "16383"',
        "Large: Fargate has no 4096 with 16383",
    ),
    ("state_machine", "warehouse", 'Memory: "${memory}"', 'Memory: "${trainingMemory}"', "Usual is not the size"),
    ("imports", "api", '"${Foundation}-Vpc"', '"${Foundation}-Vpcs"', "Vpcs, which nothing exports"),
    (
        "imports",
        "foundation",
        'Value: !Ref Alarms, Export: {Name: !Sub "${AWS::StackName}-Alarms"}',
        'Value: !Ref Alarms, Export: {Name: !Sub "${AWS::StackName}-Alarm"}',
        "the output Alarms",
    ),
    ("parameters", "api", "    Default: 200\n", "", "RequestsAtOnce has no default"),
    ("image_repository", "foundation", '"type":"expire"}}]}', '"type":"expire"}]}', "no JSON"),
    ("image_repository", "foundation", "ImageTagMutability: IMMUTABLE", "ImageTagMutability: MUTABLE", "another image"),
]


@pytest.mark.parametrize(("name", "stack", "text", "instead", "found"), FAULTS)
def test_rule_finds_a_planted_fault(templates, name, stack, text, instead, found):
    assert TEXTS[stack].count(text) == 1
    changed = templates | {stack: parsed(stack, TEXTS[stack].replace(text, instead))}
    assert any(found in said for said in RULES[name](changed)), list(RULES[name](changed))


def test_a_template_and_a_policy_that_are_too_large_are_told(templates, monkeypatch):
    monkeypatch.setattr(template_rights, "MOST_BYTES", len(TEXTS["warehouse"].encode()) - 1)
    monkeypatch.setattr(template_rights, "MOST_POLICY", 1_000)
    said = "\n".join(RULES["sizes"](templates))
    assert "warehouse.yaml has" in said
    assert "foundation.Boundary has" in said


def test_every_rule_has_a_planted_fault():
    assert {name for name, *_ in FAULTS} == RULES.keys() - {"sizes"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("cron(0 2 * * ? *)", ""),
        ("cron(0/15 4-23 ? JAN,JUL MON-FRI 2026-2030)", ""),
        ("cron(0 4 ? * 2#1 *)", ""),
        ("cron(0 4 L * ? *)", ""),
        ("cron(0 2 * * *)", "six fields"),
        ("rate(1 day)", "six fields"),
        ("cron(0 2 * * * *)", "day of week"),
        ("cron(0 2 ? * ? *)", "day of week"),
        ("cron(60 2 * * ? *)", "60 cannot"),
        ("cron(0 24 * * ? *)", "24 cannot"),
        ("cron(0 2 ? * SON *)", "SON cannot"),
        ("cron(0 2 ? * 8 *)", "8 cannot"),
    ],
)
def test_cron(text, said):
    assert said in wrong_with_cron(text)
    assert bool(said) == bool(wrong_with_cron(text))
