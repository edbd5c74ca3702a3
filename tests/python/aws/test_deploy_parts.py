"""What `make deploy` does besides its stacks: the image, and errors that name what to do."""

import base64
import os
import stat
import sys
from unittest.mock import ANY

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError, NoCredentialsError, NoRegionError
from click.testing import CliRunner
from conftest import PROJECT

from retail_warehouse.errors import DataError

pytestmark = pytest.mark.usefixtures("_infrastructure_on_path")

ACCOUNT = "123456789012"
REPOSITORY = f"{ACCOUNT}.dkr.ecr.eu-west-2.amazonaws.com/retail"
DIGEST = "sha256:" + "a" * 64


# The image.


@pytest.fixture
def checkout(tmp_path):
    """A project whose image has two files."""
    folder = tmp_path / "project"
    (folder / "retail_warehouse").mkdir(parents=True)
    (folder / "Dockerfile").write_text("FROM scratch\n")
    (folder / ".dockerignore").write_text("*\n!pyproject.toml\n!retail_warehouse\n**/__pycache__\n")
    (folder / "pyproject.toml").write_text("[project]\n")
    (folder / "retail_warehouse/cli.py").write_text("main = 1\n")
    return folder


@pytest.fixture
def builder(tmp_path, monkeypatch):
    """A docker, or what else is named, that notes what it is told; ``fails`` is the word at which it ends with 1."""

    def install(name: str = "docker", fails: str = "-") -> "list":
        programs, log = tmp_path / "programs", tmp_path / "log.txt"
        programs.mkdir(exist_ok=True)
        script = programs / name
        script.write_text(
            f"#!{sys.executable}\nimport sys\nwords = sys.argv[1:]\n"
            "given = sys.stdin.read() if '--password-stdin' in words else ''\n"
            f"open({str(log)!r}, 'a').write(' '.join([*words, given]) + '\\n')\nsys.exit({fails!r} in words)\n"
        )
        script.chmod(script.stat().st_mode | stat.S_IXUSR)
        monkeypatch.setenv("PATH", str(programs))
        return log

    return install


def _token() -> dict:
    secret = base64.b64encode(b"AWS:secret").decode()
    return {"authorizationData": [{"authorizationToken": secret, "proxyEndpoint": f"https://{REPOSITORY}"}]}


def _not_there(stub) -> None:
    stub.add_client_error("describe_images", "ImageNotFoundException")


@pytest.mark.parametrize("name", ["docker", "buildah"])
def test_an_image_is_built_pushed_and_known_by_its_digest(checkout, builder, stubbed, name):
    from image import push, tag_of_image

    log, (ecr, stub) = builder(name), stubbed("ecr")
    tag = tag_of_image(checkout)
    _not_there(stub)
    stub.add_response("get_authorization_token", _token())
    stub.add_response(
        "describe_images",
        {"imageDetails": [{"imageDigest": DIGEST}]},
        {"repositoryName": "retail", "imageIds": [{"imageTag": tag}]},
    )
    said = []
    assert push(ecr, REPOSITORY, checkout, said.append) == f"{REPOSITORY}@{DIGEST}"
    build, login, pushed = log.read_text().splitlines()
    assert build.split() == [
        *("build", "--tag", f"{REPOSITORY}:{tag}", "--file", str(checkout / "Dockerfile"), str(checkout)),
    ]
    assert login == f"login --username AWS --password-stdin {REPOSITORY.partition('/')[0]} secret"
    assert pushed.strip() == f"push {REPOSITORY}:{tag}"
    assert "secret" not in " ".join(said)


def test_an_image_that_is_there_is_not_built_again(checkout, builder, stubbed):
    from image import push

    log, (ecr, stub) = builder(), stubbed("ecr")
    stub.add_response("describe_images", {"imageDetails": [{"imageDigest": DIGEST}]})
    assert push(ecr, REPOSITORY, checkout, lambda text: None) == f"{REPOSITORY}@{DIGEST}"
    assert not log.exists()


def test_the_tag_follows_what_enters_the_image_and_nothing_else(checkout):
    from image import tag_of_image

    before = tag_of_image(checkout)
    (checkout / "README.md").write_text("not in the image")
    (checkout / "retail_warehouse/__pycache__").mkdir()
    (checkout / "retail_warehouse/__pycache__/cli.pyc").write_bytes(b"compiled")
    assert tag_of_image(checkout) == before
    tags = {before}
    for name, text in (("Dockerfile", "FROM x\n"), ("retail_warehouse/cli.py", ""), ("retail_warehouse/new.py", "")):
        (checkout / name).write_text(text)
        tags.add(tag_of_image(checkout))
    (checkout / "retail_warehouse/new.py").rename(checkout / "retail_warehouse/other.py")
    tags.add(tag_of_image(checkout))
    assert len(tags) == 5


def test_the_image_of_this_project_has_its_files():
    from image import files_of_image

    found = {path.relative_to(PROJECT).as_posix() for path in files_of_image(PROJECT)}
    assert {"Dockerfile", "pyproject.toml", "dbt_project.yml", "retail_warehouse/cli.py"} <= found
    assert not [
        name for name in found if name.startswith((".git/", "target/", "infrastructure/")) or name == "profiles.yml"
    ]


def test_without_docker_and_buildah_it_says_so(checkout, stubbed, monkeypatch, tmp_path):
    from image import push

    monkeypatch.setenv("PATH", str(tmp_path))
    ecr, stub = stubbed("ecr")
    _not_there(stub)
    with pytest.raises(DataError, match=r"Neither docker nor buildah is installed\. Install one, or .* --image"):
        push(ecr, REPOSITORY, checkout, lambda text: None)


@pytest.mark.parametrize(
    ("fails", "message"), [("build", "build the image"), ("login", "log in to ECR"), ("push", "push the image")]
)
def test_a_builder_that_fails_is_named(checkout, builder, stubbed, fails, message):
    from image import push

    builder(fails=fails)
    ecr, stub = stubbed("ecr")
    _not_there(stub)
    if fails != "build":
        stub.add_response("get_authorization_token", _token())
    with pytest.raises(DataError, match=rf"docker could not {message} \(exit code 1\)"):
        push(ecr, REPOSITORY, checkout, lambda text: None)


# Errors.


def _refused(code: str, message: str = "no") -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": message}}, "CreateStack")


@pytest.mark.parametrize(
    ("error", "advice"),
    [
        (NoRegionError(), "--region eu-west-2"),
        (NoCredentialsError(), "aws sso login, or aws configure"),
        (_refused("ExpiredToken"), "have expired. Log in again"),
        (_refused("InvalidClientTokenId"), "does not know these credentials"),
        (_refused("AccessDenied", "no right to s3"), "AWS refuses CreateStack: no right to s3"),
        (_refused("LimitExceeded", "too many VPCs"), "LimitExceeded, too many VPCs"),
        (EndpointConnectionError(endpoint_url="https://cloudformation.eu-west-9.amazonaws.com"), "Check the region"),
    ],
)
def test_errors_of_aws_are_one_line_that_names_what_to_do(error, advice):
    from stacks import aws_errors_told

    with pytest.raises(DataError, match=advice.replace(".", r"\.")) as told, aws_errors_told():
        raise error
    assert "\n" not in str(told.value)


@pytest.mark.parametrize(
    ("status", "code", "message"),
    [
        (403, "403", "is taken by another account, or you may not use it. Name another: --bucket"),
        (301, "301", "is in another region. Deploy there, or name another: --bucket"),
    ],
)
def test_a_bucket_that_is_taken_is_told_before_anything_is_made(stubbed, status, code, message):
    from deployment import Deployment, Wanted

    (sts, identity), (formation, stacks), (s3, buckets) = map(stubbed, ("sts", "cloudformation", "s3"))
    identity.add_response("get_caller_identity", {"Account": ACCOUNT})
    for _ in range(3):
        stacks.add_client_error("describe_stacks", "ValidationError", "Stack with id x does not exist")
    buckets.add_client_error("head_bucket", code, http_status_code=status, expected_params={"Bucket": "mine"})
    clients = {"sts": sts, "cloudformation": formation, "s3": s3}
    session = type("Session", (), {"region_name": "eu-west-2", "client": staticmethod(clients.get)})
    email = {"foundation": {"AlarmEmail": "you@example.com"}}
    with pytest.raises(DataError, match=f"mine {message}".replace(".", r"\.")):
        Deployment(session, Wanted(bucket="mine", parameters=email), print).deploy()


@pytest.mark.parametrize(
    ("status", "advice"),
    [
        ("ROLLBACK_COMPLETE", "aws cloudformation delete-stack --stack-name retail-api"),
        ("UPDATE_ROLLBACK_FAILED", "aws cloudformation continue-update-rollback --stack-name retail-api"),
        ("DELETE_FAILED", "See in the console what could not be deleted, fix it"),
        ("UPDATE_IN_PROGRESS", "Wait until that is done"),
    ],
)
def test_a_stack_that_cannot_be_deployed_says_what_to_do(stubbed, status, advice):
    from stacks import Stacks

    client, stub = stubbed("cloudformation")
    stack = {"StackName": "retail-api", "StackStatus": status, "CreationTime": "2026-11-26T12:00:00Z"}
    stub.add_response("describe_stacks", {"Stacks": [stack]})
    with pytest.raises(DataError, match=advice):
        Stacks(client, print).plan("retail-api", "Resources: {}\n", {}, {})


KEPT, OWNER = (f"arn:aws:iam::{ACCOUNT}:role/{name}" for name in ("retail-github-StackRole-1", "owner"))


@pytest.mark.parametrize(
    ("kept", "asked", "owner", "passed"),
    [
        ("", "", OWNER, {}),
        (KEPT, "", OWNER, {"RoleARN": OWNER}),
        (KEPT, KEPT, OWNER, {"RoleARN": KEPT}),
        ("", KEPT, "", {"RoleARN": KEPT}),
    ],
)
def test_an_administrator_does_not_go_on_under_the_role_of_github(stubbed, kept, asked, owner, passed):
    from stacks import Stacks

    client, stub = stubbed("cloudformation")
    stack = {"StackName": "retail-api", "StackId": "id", "CreationTime": "2026-11-26T12:00:00Z"}
    stack |= {"StackStatus": "UPDATE_COMPLETE"} | ({"RoleARN": kept} if kept else {})
    stub.add_response("describe_stacks", {"Stacks": [stack]})
    stub.add_response("delete_stack", {}, {"StackName": "id", **passed})
    stub.add_response("describe_stacks", {"Stacks": [stack | {"StackStatus": "DELETE_COMPLETE"}]})
    Stacks(client, print, asked, owner=lambda: owner).delete("retail-api")
    for _ in range(2):
        stub.add_response("describe_stacks", {"Stacks": [stack]})
    changes = {"StackName": "retail-api", "ChangeSetName": ANY, "Capabilities": ["CAPABILITY_NAMED_IAM"], "Tags": []}
    changes |= {"ChangeSetType": "UPDATE", "TemplateBody": "Resources: {}\n", "Parameters": [], **passed}
    stub.add_response("create_change_set", {"Id": "arn:change-set"}, changes)
    done = {"Status": "CREATE_COMPLETE", "Changes": []}
    for _ in range(2):
        stub.add_response("describe_change_set", done)
    Stacks(client, print, asked, owner=lambda: owner).plan("retail-api", "Resources: {}\n", {}, {})


def test_without_a_role_of_the_owner_it_is_told_what_to_name(stubbed):
    from stacks import Stacks

    client, stub = stubbed("cloudformation")
    stack = {"StackName": "retail-api", "StackStatus": "CREATE_COMPLETE", "CreationTime": "2026-11-26T12:00:00Z"}
    stub.add_response("describe_stacks", {"Stacks": [stack | {"RoleARN": KEPT}]})
    with pytest.raises(DataError, match=f"retail-api under {KEPT}, the role of its last deployment, .* --stack-role"):
        Stacks(client, print).delete("retail-api")


@pytest.mark.parametrize(
    ("ids", "zones"),
    [
        (["use1-az3", "use1-az6", "use1-az1", "use1-az2"], ["b", "c", "d"]),
        (["euw3-az1", "euw3-az2", "euw3-az3"], ["a", "c", "b"]),
        (["usw1-az1", "usw1-az3"], "has 2 availability zones for this account. Redshift Serverless needs three"),
        (["usw1-az1", "usw1-az2", "use1-az3"], "and two with VPC links. Choose another region: --region"),
    ],
)
def test_three_zones_are_chosen_of_which_two_have_vpc_links(stubbed, ids, zones):
    from deployment import Deployment, Wanted

    (sts, identity), (formation, stacks), (ec2, network) = map(stubbed, ("sts", "cloudformation", "ec2"))
    identity.add_response("get_caller_identity", {"Account": ACCOUNT})
    stacks.add_client_error("describe_stacks", "ValidationError", "Stack with id x does not exist")
    found = [{"ZoneName": f"r-{letter}", "ZoneId": zone} for letter, zone in zip("abcd", ids, strict=False)]
    network.add_response("describe_availability_zones", {"AvailabilityZones": found})
    clients = {"sts": sts, "cloudformation": formation, "ec2": ec2}
    session = type("Session", (), {"region_name": "r", "client": staticmethod(clients.get)})
    deployment = Deployment(session, Wanted(), print)
    if isinstance(zones, str):
        with pytest.raises(DataError, match=zones.replace(".", r"\.")):
            deployment._zones()
    else:
        assert deployment._zones() == {f"Zone{at}": f"r-{zone}" for at, zone in zip("ABC", zones, strict=True)}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("shop-3", "is not <name>=<scope>,<scope>, such as shop-3=transactions/write"),
        ("shop-3=transactions/delete", "Scopes: transactions/write, transactions/read, predictions/read"),
        ("till=transactions/write", "The names till and reader are taken"),
        ("shop 3=transactions/write", "is not <name>"),
        ("both=transactions/write,transactions/read", "a client that sends rows does not read"),
    ],
)
def test_a_client_that_cannot_be_is_told(text, message):
    from clients import parsed

    with pytest.raises(DataError, match=message):
        parsed(text)
    assert parsed("shop-3=predictions/read,transactions/read") == ("shop-3", ["predictions/read", "transactions/read"])


def test_the_command_ends_with_one_line(monkeypatch, tmp_path):
    import deploy

    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for options, text in (([], "No region is set"), (["--region", "eu-west-2"], "There are no AWS credentials")):
        done = CliRunner().invoke(deploy.main, options)
        assert (done.exit_code, done.output.count("\n")) == (1, 1)
        assert text in done.output
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    done = CliRunner().invoke(deploy.main, ["--region", "eu-west-2"])
    assert (done.exit_code, done.output.count("\n")) == (1, 1)
    assert "AWS_PROFILE" in done.output
