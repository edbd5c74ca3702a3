"""What the role of the batch task, and that of Redshift's COPY and UNLOAD, may do on the deployed stacks, and what not.

That runs work under both is shown by `test_redshift.py`."""

import json
from types import SimpleNamespace

import pytest
from botocore.exceptions import ClientError

from retail_warehouse.errors import DataError
from retail_warehouse.serving.predictions_dynamodb import DynamoDbPredictions
from retail_warehouse.serving.store import StoreError

READ, WRITE, DELETE = "GetObject", "PutObject", "DeleteObject"
# What a role may do below each prefix; nothing below others.
BATCH = {
    "raw": {READ},
    "streamed": {READ, WRITE, DELETE},
    "redshift_load": {WRITE},
    "features": {READ},
    "models": {READ, WRITE},
    "predictions": {READ, WRITE},
    "exports": {DELETE},
    "site": {WRITE},
    "runs": {READ, WRITE, DELETE},
    "athena": set(),
    "elsewhere": set(),
}
COPY = {prefix: set() for prefix in BATCH} | {
    "redshift_load": {READ},
    "predictions": {READ},
    "exports": {READ, WRITE, DELETE},
    "features": {READ, WRITE, DELETE},
}


def may(action) -> bool:
    try:
        action()
    except ClientError as error:
        if error.response["Error"]["Code"] not in ("AccessDenied", "AccessDeniedException"):
            raise
        return False
    return True


@pytest.fixture(scope="module")
def batch(deployed):
    return deployed.aws.as_role(deployed.task("retail-warehouse-batch")["taskRoleArn"])


@pytest.fixture(scope="module")
def copy_role(deployed):
    return deployed.aws.as_role(deployed.environment("retail-warehouse-batch")["REDSHIFT_IAM_ROLE"])


@pytest.mark.parametrize(("who", "wanted"), [("batch", BATCH), ("copy_role", COPY)])
def test_the_bucket_is_open_by_prefix(deployed, request, who, wanted):
    bucket, owner = deployed.outputs("foundation")["Bucket"], deployed.aws.client("s3")
    s3 = deployed.aws.client("s3", **request.getfixturevalue(who))
    found = {}
    for prefix in wanted:
        key = {"Bucket": bucket, "Key": f"{prefix}/of-a-test"}
        owner.put_object(**key, Body=b"x")
        actions = {
            READ: lambda key=key: s3.get_object(**key),
            WRITE: lambda key=key: s3.put_object(**key, Body=b"y"),
            DELETE: lambda key=key: s3.delete_object(**key),
        }
        found[prefix] = {name for name, action in actions.items() if may(action)}
        owner.delete_object(**key)
    assert found == wanted
    assert may(lambda: s3.list_objects_v2(Bucket=bucket)) == (who == "copy_role")
    assert may(lambda: s3.list_objects_v2(Bucket=bucket, Prefix="raw/online_retail/"))
    assert not may(lambda: s3.delete_bucket_policy(Bucket=bucket))
    assert not may(lambda: s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Suspended"}))


def test_the_batch_publishes_what_the_api_reads(deployed, batch):
    foundation = deployed.outputs("foundation")
    table = foundation["PredictionsTable"]
    with_rights = DynamoDbPredictions(table, deployed.aws.client("dynamodb", **batch))
    assert with_rights.replace(b"statistics", [(1, b"one"), (2, b"two")]) == 2
    assert with_rights.replace(b"statistics", [(1, b"another")]) == 1
    api = deployed.aws.as_role(deployed.task("retail-api")["taskRoleArn"])
    reader = DynamoDbPredictions(table, deployed.aws.client("dynamodb", **api))
    assert reader.open().user(1) == b"another"
    assert reader.open().user(2) is None
    with pytest.raises(StoreError, match="AccessDenied"):
        reader.replace(b"", [(1, b"forged")])
    assert reader.open().user(1) == b"another"
    deployed.aws.client("dynamodb").delete_item(TableName=table, Key={"key": {"S": "current"}, "part": {"N": "0"}})


def test_neither_has_anything_to_do_with_the_list_of_events(deployed, batch, copy_role):
    table, key = deployed.outputs("foundation")["EventsTable"], {"event_id": {"S": "till:1"}}
    for role in (batch, copy_role):
        dynamodb = deployed.aws.client("dynamodb", **role)
        assert not may(lambda dynamodb=dynamodb: dynamodb.get_item(TableName=table, Key=key))
        assert not may(lambda dynamodb=dynamodb: dynamodb.put_item(TableName=table, Item=key))
        assert not may(lambda role=role: deployed.aws.client("iam", **role).list_roles())


def test_what_github_deploys_under_reaches_no_data(deployed):
    role = deployed.aws.as_role(deployed.outputs("github")["StackRole"])
    bucket, table = deployed.outputs("foundation")["Bucket"], deployed.outputs("foundation")["EventsTable"]
    s3, dynamodb = (deployed.aws.client(service, **role) for service in ("s3", "dynamodb"))
    key, block = {"Bucket": bucket, "Key": "raw/of-github"}, {"BlockPublicPolicy": False}
    assert may(lambda: s3.get_bucket_versioning(Bucket=bucket))
    assert may(lambda: dynamodb.describe_table(TableName=table))
    for action in (
        lambda: s3.put_object(**key, Body=b"x"),
        lambda: s3.get_object(**key),
        lambda: s3.delete_object(**key, VersionId="1"),
        lambda: s3.put_public_access_block(Bucket=bucket, PublicAccessBlockConfiguration=block),
        lambda: s3.put_bucket_policy(Bucket=bucket, Policy="{}"),
        lambda: s3.delete_bucket(Bucket=bucket),
        lambda: dynamodb.get_item(TableName=table, Key={"event_id": {"S": "till:1"}}),
        lambda: dynamodb.delete_table(TableName=table),
        lambda: dynamodb.update_table(TableName=table, DeletionProtectionEnabled=False),
    ):
        assert not may(action)


def test_what_github_deploys_under_reaches_roles_of_the_project_alone(deployed):
    # The emulator asks about a role by its name, without its path; so IAM is asked what it would say.
    role, own = deployed.outputs("github")["StackRole"], deployed.task("retail-warehouse-batch")["taskRoleArn"]
    account = own.split(":")[4]
    actions = [f"iam:{action}" for action in ("UpdateAssumeRolePolicy", "UpdateRole", "DeleteRole")]

    def allowed(resource: str) -> set[str]:
        found = deployed.aws.client("iam").simulate_principal_policy(
            PolicySourceArn=role, ActionNames=actions, ResourceArns=[resource]
        )["EvaluationResults"]
        return {one["EvalActionName"] for one in found if one["EvalDecision"] == "allowed"}

    assert own.partition(":role")[2] == "/retail-warehouse/retail-warehouse-batch"
    assert allowed(own) == set(actions)
    for other in ("retail-of-somebody-else", "retail-github-StackRole-1", "retail-warehouse/other"):
        assert allowed(f"arn:aws:iam::{account}:role/{other}") == set(), other


def test_github_deploys_with_the_rights_of_its_role_and_no_others(deployed, deploying):
    roles, iam = deployed.outputs("github"), deployed.aws.client("iam")
    name = roles["DeployRole"].rpartition("/")[2]
    policy = {"RoleName": name, "PolicyName": "deploy"}
    given = iam.get_role_policy(**policy)["PolicyDocument"]
    [under] = [one for one in given["Statement"] if one["Action"] == "cloudformation:CreateChangeSet"]
    # The emulator does not know the role of a change set; a rule of the templates looks at this condition.
    assert under.pop("Condition") == {"ArnEquals": {"cloudformation:RoleArn": roles["StackRole"]}}
    iam.put_role_policy(**policy, PolicyDocument=json.dumps(given))
    rights = deployed.aws.as_role(roles["DeployRole"])
    job = SimpleNamespace(
        session=SimpleNamespace(region_name="eu-west-2", client=lambda name: deployed.aws.client(name, **rights))
    )
    said: list[str] = []
    deploying(job, said, stack_role=roles["StackRole"], parameters={}).deploy()
    assert said == [f"retail-{stack}: no changes" for stack in ("foundation", "warehouse", "api", "lake")]
    with pytest.raises(DataError, match="AWS refuses"):
        deploying(job, [], stack_role=roles["StackRole"], parameters={}).destroy(False)
    with pytest.raises(DataError, match="AWS refuses"):
        deploying(job, [], stack_role=roles["StackRole"], parameters={}, clients={"x": ["transactions/read"]}).deploy()
    under["Condition"] = {"ArnEquals": {"cloudformation:RoleArn": roles["StackRole"]}}
    iam.put_role_policy(**policy, PolicyDocument=json.dumps(given))
