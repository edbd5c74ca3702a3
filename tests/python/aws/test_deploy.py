"""`make deploy` on the emulator: once, twice, with a change, with a failure, taken down and put up again."""

import contextlib

import pytest
from botocore.exceptions import ClientError
from click.testing import CliRunner

from retail_warehouse.errors import DataError

STACKS = ["foundation", "warehouse", "api", "lake"]
TABLES = [EVENTS := "retail-events", "retail-lines", "retail-lines-predictions"]


@pytest.fixture(scope="module")
def aws(start_emulator):
    """An account in which nothing is deployed yet; the tests of this module follow one another."""
    return start_emulator()


@pytest.fixture
def deploy(aws, deploying):
    """Deploys, or does something else with a deployment, and returns what it said."""

    def run(doing: str = "deploy", *arguments, **wanted) -> list[str]:
        said: list[str] = []
        getattr(deploying(aws, said, **wanted), doing)(*arguments)
        return said

    return run


def stacks_of(aws) -> dict[str, str]:
    """The status of each stack that is there."""
    found = aws.client("cloudformation").describe_stacks()["Stacks"]
    return {stack["StackName"]: stack["StackStatus"] for stack in found if stack["StackStatus"] != "DELETE_COMPLETE"}


def nights(aws) -> dict:
    """The schedule of the nightly run."""
    client = aws.client("scheduler")
    names = [schedule["Name"] for schedule in client.list_schedules()["Schedules"]]
    return client.get_schedule(Name=next(name for name in names if "EveryNight" in name))


def bucket_of(aws) -> str:
    return f"retail-{aws.client('sts').get_caller_identity()['Account']}-eu-west-2"


def exists(action) -> bool:
    with contextlib.suppress(ClientError):
        action()
        return True
    return False


def test_a_dry_run_shows_what_would_be_made_and_makes_nothing(aws, deploy):
    said = deploy("show")
    assert "  Add Data (AWS::S3::Bucket)" in said
    assert next(line for line in said if line.startswith("retail-api: ")).endswith("once the foundation stands")
    assert stacks_of(aws) == {}
    assert not exists(lambda: aws.client("s3").head_bucket(Bucket=bucket_of(aws)))


def test_the_mail_is_asked_for_before_anything_is_made(aws, deploy):
    for doing in ("show", "deploy"):
        with pytest.raises(DataError, match=r"--email you@example\.com"):
            deploy(doing, parameters={})
    assert stacks_of(aws) == {}


def test_the_first_deployment_makes_all_and_says_what_it_does(aws, deploy):
    said = deploy()
    wanted = {f"retail-{stack}": "CREATE_COMPLETE" for stack in STACKS} | {"retail-api": "UPDATE_COMPLETE"}
    assert stacks_of(aws) == wanted
    # The API a second time: once it stands, its pool is protected.
    twice = ["foundation", "warehouse", "api", "api", "lake"]
    assert [line.partition(":")[0] for line in said] == [f"retail-{stack}" for stack in twice for _ in range(2)]
    pool = aws.client("cognito-idp").list_user_pools(MaxResults=9)["UserPools"][0]["Id"]
    found = aws.client("cognito-idp").describe_user_pool(UserPoolId=pool)["UserPool"]
    assert found["DeletionProtection"] == "ACTIVE"
    task = aws.client("ecs").describe_task_definition(taskDefinition="retail-api")["taskDefinition"]
    assert task["containerDefinitions"][0]["image"].startswith("retail@sha256:")


def test_a_second_run_changes_nothing(aws, deploy):
    events = {stack: _events(aws, stack) for stack in STACKS}
    for doing in ("show", "deploy"):
        assert deploy(doing) == [f"retail-{stack}: no changes" for stack in STACKS]
    assert {stack: _events(aws, stack) for stack in STACKS} == events


def _events(aws, stack: str) -> int:
    pages = aws.client("cloudformation").get_paginator("describe_stack_events").paginate(StackName=f"retail-{stack}")
    return sum(len(page["StackEvents"]) for page in pages)


def test_an_update_changes_what_it_must_and_options_that_are_not_given_stay(aws, deploy):
    wanted = {"parameters": {"warehouse": {"NightlySchedule": "cron(0 3 * * ? *)"}}}
    said = deploy("show", **wanted)
    [change] = [line for line in said if line.startswith("  ")]
    assert change.startswith("  Modify EveryNight (AWS::Scheduler::Schedule)")
    assert nights(aws)["ScheduleExpression"] == "cron(0 2 * * ? *)"

    said = deploy(**wanted)
    assert next(line for line in said if not line.endswith("no changes")) == "retail-warehouse: 1 changes"
    assert nights(aws)["ScheduleExpression"] == "cron(0 3 * * ? *)"
    assert deploy(parameters={}) == [f"retail-{stack}: no changes" for stack in STACKS]
    assert nights(aws)["ScheduleExpression"] == "cron(0 3 * * ? *)"


def clients_of(aws) -> tuple[dict[str, str], set[str], set[str]]:
    """The clients of the pool by name; those whose tokens the gateway takes; those whose tokens the task takes."""
    cognito, gateway = aws.client("cognito-idp"), aws.client("apigatewayv2")
    pool = cognito.list_user_pools(MaxResults=9)["UserPools"][0]["Id"]
    ids = {
        one["ClientName"]: one["ClientId"] for one in cognito.list_user_pool_clients(UserPoolId=pool)["UserPoolClients"]
    }
    [api] = gateway.get_apis()["Items"]
    [authorizer] = gateway.get_authorizers(ApiId=api["ApiId"])["Items"]
    task = aws.client("ecs").describe_task_definition(taskDefinition="retail-api")["taskDefinition"]
    given = {one["name"]: one["value"] for one in task["containerDefinitions"][0]["environment"]}
    return ids, set(authorizer["JwtConfiguration"]["Audience"]), set(given["COGNITO_CLIENT_IDS"].split(","))


def test_clients_are_added_and_revoked(aws, deploy):
    ids, gateway, task = clients_of(aws)
    assert set(ids) == {"till", "reader"}
    assert gateway == task == set(ids.values())
    new = {"shop-3": ["transactions/write"], "bi": ["transactions/read", "predictions/read"]}
    assert deploy("show", clients=new)[-2:] == [
        "client shop-3: would get transactions/write",
        "client bi: would get transactions/read, predictions/read",
    ]
    said = deploy(clients=new)
    ids, gateway, task = clients_of(aws)
    assert set(ids) == {"till", "reader", *new}
    assert gateway == task == set(ids.values())
    assert f"client bi: {ids['bi']}" in said
    for name in ("till", "nobody"):
        with pytest.raises(DataError, match=r"add-user-pool-client-secret|can be revoked: bi, shop-3\."):
            deploy(revoked=(name,))
    # A deployment that names none, and one that names one again, keep them.
    assert deploy() == [f"retail-{stack}: no changes" for stack in STACKS]
    assert "retail-api: no changes" in deploy(clients={"shop-3": ["transactions/write"], "bi": ["transactions/read"]})
    assert clients_of(aws) == (ids, gateway, task)
    assert "client bi: deleted" in deploy(revoked=("bi",))
    del ids["bi"]
    assert clients_of(aws) == (ids, set(ids.values()), set(ids.values()))
    deploy(revoked=("shop-3",))
    assert set(clients_of(aws)[0]) == {"till", "reader"}


def test_another_image_reaches_both_tasks(aws, deploy):
    said = deploy(image=f"retail@sha256:{'1' * 64}", architecture="ARM64")
    assert "retail-foundation: no changes" in said
    assert "retail-lake: no changes" in said
    for family in ("retail-api", "retail-warehouse-batch"):
        task = aws.client("ecs").describe_task_definition(taskDefinition=family)["taskDefinition"]
        assert task["containerDefinitions"][0]["image"].endswith("1" * 64)
    given = aws.client("cloudformation").describe_stacks(StackName="retail-api")["Stacks"][0]["Parameters"]
    assert {"ParameterKey": "Architecture", "ParameterValue": "ARM64"} in given
    deploy()


def test_what_cannot_be_made_again_is_not_replaced(aws, deploy):
    def another_key(text: str) -> str:
        return text.replace("AttributeName: event_id", "AttributeName: event")

    def no_secret(text: str) -> str:
        return text.replace(
            "ClientName: till\n      GenerateSecret: true", "ClientName: till\n      GenerateSecret: false"
        )

    table = aws.client("dynamodb").describe_table(TableName=EVENTS)["Table"]
    for stack, change in (("foundation", another_key), ("api", no_secret)):
        with pytest.raises(
            DataError, match=r"would lose what cannot be made again: Modify (Events|Till) .*Nothing was"
        ):
            deploy(changed={stack: change})
    assert aws.client("dynamodb").describe_table(TableName=EVENTS)["Table"] == table
    assert deploy() == [f"retail-{stack}: no changes" for stack in STACKS]


def test_a_failed_update_is_told_in_one_line_and_leaves_what_was(aws, deploy):
    def broken(text: str) -> str:
        return text.replace('"${Foundation}-ExecutionRole"', '"${Foundation}-NoSuchRole"')

    with pytest.raises(DataError, match="retail-foundation-NoSuchRole") as told:
        deploy(changed={"warehouse": broken})
    assert "\n" not in str(told.value)
    assert deploy() == [f"retail-{stack}: no changes" for stack in STACKS]


def test_a_parameter_that_no_template_has_is_told(deploy):
    with pytest.raises(DataError, match=r"api\.yaml has no parameter ApiTask\. It has: Foundation, Image,"):
        deploy(parameters={"api": {"ApiTask": "2"}})


def test_a_stack_whose_creation_failed_says_what_to_do(aws, deploy):
    template = "Resources:\n  Topic:\n    Type: AWS::SNS::Topic\n  Rule:\n    Type: AWS::Events::Rule\n"
    client = aws.client("cloudformation")
    client.create_stack(
        StackName="other-foundation", TemplateBody=template + '    Properties: {RoleArn: !ImportValue "nothing"}\n'
    )
    with pytest.raises(
        DataError, match=r"is in ROLLBACK_COMPLETE. .* aws cloudformation delete-stack --stack-name other-"
    ):
        deploy(name="other")
    client.delete_stack(StackName="other-foundation")


def test_next_steps_and_options_of_the_command(aws, deploy, monkeypatch):
    import deploy as command

    for name, text in (aws.environment | {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}).items():
        monkeypatch.setenv(name, text)
    image = ["--image", f"retail@sha256:{'0' * 64}", "--architecture", "X86_64", "--skip-redshift"]
    done = CliRunner().invoke(command.main, ["--region", "eu-west-2", *image, "--budget", "70", "--micro-batches"])
    assert done.exit_code == 0, done.output
    pool = aws.client("cognito-idp").list_user_pools(MaxResults=9)["UserPools"][0]["Id"]
    for part in (
        bucket_of(aws),
        f"--user-pool-id {pool}",
        "subnets=[subnet-",
        "scope=transactions/write",
        "dollars a month",
        "_SUCCESS",
    ):
        assert part in done.output
    assert "AWS_DEPLOY_ROLE" not in done.output
    scheduler = aws.client("scheduler")
    states = [scheduler.get_schedule(Name=one["Name"])["State"] for one in scheduler.list_schedules()["Schedules"]]
    assert sorted(states) == ["DISABLED", "ENABLED", "ENABLED"]
    done = CliRunner().invoke(command.main, ["--region", "eu-west-2", *image, "--github", "owner/name"])
    roles = {role["RoleName"]: role for role in aws.client("iam").list_roles(MaxItems=100)["Roles"]}
    [deploy_role] = [name for name in roles if name.startswith("retail-github-DeployRole")]
    assert f"AWS_DEPLOY_ROLE={roles[deploy_role]['Arn']}\n" in done.output
    assert "Without the API's tasks about 16, for the clients are charged still" in done.output
    for wrong in (["--delete-data"], ["--dry-run", "--destroy"], ["--rpu-hours", "9", "--skip-redshift"]):
        assert CliRunner().invoke(command.main, wrong).exit_code == 2
    done = CliRunner().invoke(command.main, ["--region", "eu-west-2", *image, "--set", "warehouse=1"])
    assert (done.exit_code, done.output.count("\n")) == (1, 1)
    done = CliRunner().invoke(command.main, ["--region", "eu-west-2", "--destroy"], input="n\n")
    assert "Delete the stacks; the data stay: retail-* in eu-west-2 of account" in done.output
    assert set(stacks_of(aws)) == {f"retail-{stack}" for stack in [*STACKS, "github"]}


def test_taken_down_the_data_stay_and_come_back(aws, deploy):
    s3, dynamodb, bucket = aws.client("s3"), aws.client("dynamodb"), bucket_of(aws)
    s3.put_object(Bucket=bucket, Key="raw/online_retail/data.csv", Body=b"InvoiceNo")
    dynamodb.put_item(TableName=EVENTS, Item={"event_id": {"S": "till:1"}})
    s3.put_object(Bucket=bucket, Key="runs/state.json", Body=b"{}")
    said = deploy("destroy", False)
    assert said[-1].startswith(f"kept: s3://{bucket}, {', '.join(TABLES)}. The next deployment takes them back")
    # The roles of GitHub last: CloudFormation may have to delete the others under one of them.
    deleted = [line.removesuffix(": deleted") for line in said if line.endswith(": deleted")]
    assert deleted == [f"retail-{stack}" for stack in ("lake", "api", "warehouse", "foundation", "github")]
    assert stacks_of(aws) == {}
    # What runs noted of the Redshift that is gone does not keep the next from building.
    assert not exists(lambda: s3.head_object(Bucket=bucket, Key="runs/state.json"))

    kept = "Data, Events, Lines, Predictions"
    assert deploy("show")[0] == f"retail-foundation: would take back {kept}, which stay as they are"
    assert stacks_of(aws) == {}
    assert deploy()[0] == f"retail-foundation: takes back {kept}"
    assert set(stacks_of(aws)) == {f"retail-{stack}" for stack in STACKS}
    assert s3.get_object(Bucket=bucket, Key="raw/online_retail/data.csv")["Body"].read() == b"InvoiceNo"
    assert "Item" in dynamodb.get_item(TableName=EVENTS, Key={"event_id": {"S": "till:1"}})
    assert deploy() == [f"retail-{stack}: no changes" for stack in STACKS]


def test_taken_down_with_the_data_nothing_is_left(aws, deploy):
    s3, bucket = aws.client("s3"), bucket_of(aws)
    s3.put_object(Bucket=bucket, Key="raw/x", Body=b"one")
    s3.put_object(Bucket=bucket, Key="raw/x", Body=b"two")
    s3.delete_object(Bucket=bucket, Key="raw/x")
    said = deploy("destroy", True)
    assert said[-4:] == [f"deleted: s3://{bucket}", *(f"deleted: {table}" for table in TABLES)]
    assert stacks_of(aws) == {}
    assert not exists(lambda: s3.head_bucket(Bucket=bucket))
    assert aws.client("dynamodb").list_tables()["TableNames"] == []
    deploy("destroy", True)  # once more: nothing is there, and nothing is wrong


def test_the_emulator_lacks_exactly_what_is_taken_out(aws):
    from shared.aws_emulator import LACKS
    from shared.template_rules import STACKS, parsed

    used = {resource["Type"] for stack in STACKS for resource in parsed(stack)["Resources"].values()}
    assert set(LACKS) <= used
    for kind in LACKS:
        template = f"Resources:\n  One:\n    Type: {kind}\n"
        with pytest.raises(ClientError, match=kind):
            aws.client("cloudformation").create_stack(StackName="lacks", TemplateBody=template)
