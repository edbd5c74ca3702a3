"""All stacks of a name, deployed in their order, shown before, and taken down again."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError
from clients import Clients
from image import architecture, push, tag_of_image
from redshift_users import DATABASE, Administrator
from stacks import ChangeSet, Stacks, aws_errors_told, names_in, template_of

from retail_warehouse.errors import DataError

FOLDER = Path(__file__).resolve().parent
PROJECT = FOLDER.parent
# In the order in which they are deployed: each stands on the first.
STACKS = ("foundation", "warehouse", "api", "lake", "github")
# The tables that stay when the stacks are deleted, by their names in the template, and how their own names end.
TABLES = {"Events": "events", "Lines": "lines", "Predictions": "lines-predictions"}
# Zones in which API Gateway has no VPC links: https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-vpc-links.html
NO_VPC_LINKS = {"ape1-az1", "apne2-az4", "cac1-az4", "euw3-az2", "use1-az3", "usw1-az2"}
# Dollars a month while nothing happens, list prices of US East, November 2026. docs/aws.md has them by use.
API_TASK = {"X86_64": 18.0, "ARM64": 14.4}  # 0.5 vCPU and 1 GB
ADDRESS, ENTRY, CLIENT, REST = 3.65, 0.6, 6.0, 3.0


@dataclass
class Wanted:
    """What the command line asks for.

    Attributes:
        name: Begins the names of the stacks.
        bucket: Name of the data bucket; empty for that of the stack, else ``<name>-<account>-<region>``.
        parameters: Parameters by stack.
        image: The image with its digest; empty to build one.
        architecture: Processor of the image; empty for that of this machine.
        stack_role: ARN of the role that CloudFormation works under; empty for the caller's own rights.
        has_redshift: Whether users and the limit of use are set up on Redshift.
        rpu_hours: The limit of use in a month; None for what is set.
        clients: Scopes by the names of clients that may ask for tokens from now on.
        revoked: Names of clients that may not any more.
        may_replace: Whether what cannot be made again may be replaced.
        pause: Seconds between two looks at what takes long.
    """

    name: str = "retail"
    bucket: str = ""
    parameters: dict[str, dict[str, str]] = field(default_factory=dict)
    image: str = ""
    architecture: str = ""
    stack_role: str = ""
    has_redshift: bool = True
    rpu_hours: int | None = None
    clients: dict[str, list[str]] = field(default_factory=dict)
    revoked: tuple[str, ...] = ()
    may_replace: bool = False
    pause: float = 3.0


class Deployment:
    """The stacks of one name in one region.

    Args:
        session: A boto3 session.
        wanted: What the command line asks for.
        tell: Gets a line for people.

    Raises:
        DataError: There are no credentials, or no region.
    """

    def __init__(self, session: Any, wanted: Wanted, tell: Callable[[str], None]) -> None:
        """Ask AWS who calls."""
        self._session, self._wanted, self._tell = session, wanted, tell
        self.region = session.region_name or ""
        with aws_errors_told():
            cloudformation = self._client("cloudformation")
            self.account = self._client("sts").get_caller_identity()["Account"]
        self.stacks = Stacks(cloudformation, tell, wanted.stack_role, wanted.pause, self._owner)

    def _client(self, service: str) -> Any:
        return self._session.client(service)

    def _owner(self) -> str:
        return self.stacks.outputs(self.stack("github")).get("OwnerRole", "")

    def stack(self, which: str) -> str:
        """The name of a stack, such as ``retail-api``."""
        return f"{self._wanted.name}-{which}"

    @property
    def bucket(self) -> str:
        """The name of the data bucket."""
        deployed = self.stacks.parameters(self.stack("foundation")).get("BucketName")
        asked = self._wanted.bucket
        if deployed and asked and asked != deployed:
            raise DataError(f"The data are in the bucket {deployed}; a stack cannot change to {asked}.")
        return deployed or asked or f"{self._wanted.name}-{self.account}-{self.region}"

    # What is deployed.

    def deploy(self) -> None:
        """Deploy every stack, and set Redshift up.

        Raises:
            DataError: A step fails; the text says what to do. The next run goes on where this one ended.
        """
        self._check_email()
        self._take_back()
        self._deploy("foundation", self._of_foundation())
        image = self._wanted.image or self._push()
        self._deploy("warehouse", self._of_tasks(image))
        self._deploy_api(image)
        self._deploy("lake", {})
        if self._has_github():
            self._deploy("github", self._of_github())
        if self._wanted.has_redshift:
            self._set_up_redshift()

    def _deploy_api(self, image: str) -> None:
        """Deploy the API; once there is a pool, protect it, and see to the clients that are asked for."""
        if not self.stacks.exists(self.stack("api")):
            self._deploy("api", self._of_api(image))
        clients = Clients(self._client("cognito-idp"), self.stacks.outputs(self.stack("api"))["Pool"])
        gone = {name: clients.id_of_one_to_revoke(name) for name in self._wanted.revoked}
        made = {name: clients.add(name, scopes) for name, scopes in self._wanted.clients.items()}
        given = self._of_api(image)
        if made or gone:
            kept = [one for one in self._more_clients() if one not in gone.values()]
            given["MoreClientIds"] = ",".join([*kept, *(one for one in made.values() if one not in kept)])
        self._deploy("api", given)
        for name, client in gone.items():
            clients.delete(client)
            self._tell(f"client {name}: deleted")
        for name, client in made.items():
            self._tell(f"client {name}: {client}")

    def _more_clients(self) -> list[str]:
        text = self.stacks.parameters(self.stack("api")).get("MoreClientIds", "")
        return [client for client in text.split(",") if client]

    def _deploy(self, which: str, given: dict[str, str]) -> None:
        change_set = self._plan(which, given)
        if not change_set:
            self._tell(f"{self.stack(which)}: no changes")
            return
        lost = [str(change) for change in change_set.changes if change.loses]
        if lost and not self._wanted.may_replace:
            self.stacks.forget(change_set)
            raise DataError(
                f"{self.stack(which)} would lose what cannot be made again: {', '.join(lost)}. Nothing was changed. "
                "If that is what you want: --allow-replacement."
            )
        self._tell(f"{self.stack(which)}: {len(change_set.changes)} changes")
        self.stacks.execute(change_set)

    def _plan(self, which: str, given: dict[str, str]) -> ChangeSet | None:
        template = template_of(FOLDER, which)
        return self.stacks.plan(
            self.stack(which), template, self._parameters(which, template, given), {"project": self._wanted.name}
        )

    def _parameters(self, which: str, template: str, given: dict[str, str]) -> dict[str, str]:
        """What is given to a template, of what is known here and of what the command line asks for.

        Raises:
            DataError: It asks for a parameter that the template has not.
        """
        known, asked = names_in(template, "Parameters"), self._wanted.parameters.get(which, {})
        unknown = sorted(set(asked) - set(known))
        if unknown:
            raise DataError(f"{which}.yaml has no parameter {', '.join(unknown)}. It has: {', '.join(known)}.")
        foundation = {"Foundation": self.stack("foundation")} if "Foundation" in known else {}
        return foundation | given | asked

    def _take_back(self) -> None:
        """Make the foundation of what a deployment that was taken down has left, if there is anything."""
        kept = self._kept_data()
        if kept:
            template = template_of(FOLDER, "foundation")
            self._tell(f"{self.stack('foundation')}: takes back {', '.join(kept)}")
            given = self._parameters("foundation", template, self._of_foundation())
            self.stacks.take_in(self.stack("foundation"), template, given, kept)

    def _check_email(self) -> None:
        asked = self._wanted.parameters.get("foundation", {})
        if "AlarmEmail" not in asked and not self.stacks.exists(self.stack("foundation")):
            raise DataError("Give an address for alarms and budget notices: --email you@example.com")

    def _of_foundation(self) -> dict[str, str]:
        return {"Name": self._wanted.name, "BucketName": self.bucket} | self._zones()

    def _zones(self) -> dict[str, str]:
        """Three zones of the region for a new network, those with VPC links first. One that is there keeps its own,
        also when the region gets more.

        Raises:
            DataError: The region has fewer.
        """
        asked = self._wanted.parameters.get("foundation", {})
        if "ZoneA" in asked or self.stacks.exists(self.stack("foundation")):
            return {}
        with aws_errors_told():
            found = self._client("ec2").describe_availability_zones(
                Filters=[{"Name": "zone-type", "Values": ["availability-zone"]}]
            )["AvailabilityZones"]
        zones = sorted((zone["ZoneId"] in NO_VPC_LINKS, zone["ZoneName"]) for zone in found)
        if len(zones) < 3 or zones[1][0]:
            raise DataError(
                f"{self.region} has {len(zones)} availability zones for this account. Redshift Serverless needs three, "
                "and two with VPC links. Choose another region: --region."
            )
        return {f"Zone{letter}": name for letter, (_, name) in zip("ABC", zones[:3], strict=True)}

    def _of_api(self, image: str) -> dict[str, str]:
        protection = {"PoolProtection": "ACTIVE"} if self.stacks.exists(self.stack("api")) else {}
        return self._of_tasks(image) | self._of_domain() | protection

    def _of_tasks(self, image: str) -> dict[str, str]:
        return {"Image": image, "Architecture": self._wanted.architecture or architecture()}

    def _of_domain(self) -> dict[str, str]:
        deployed = self.stacks.parameters(self.stack("api")).get("DomainPrefix")
        return {"DomainPrefix": deployed or f"{self._wanted.name}-{self.account}"}

    def _of_github(self) -> dict[str, str]:
        database = self.stacks.parameters(self.stack("lake")).get("DatabaseName")
        found = {"Database": database} if database else {}
        return {"Name": self._wanted.name, "BucketName": self.bucket} | found

    def _has_github(self) -> bool:
        """Whether its roles are asked for. A deployment by them leaves them as they are."""
        asked = "github" in self._wanted.parameters or self.stacks.exists(self.stack("github"))
        return asked and not self._wanted.stack_role

    def _push(self) -> str:
        repository = self.stacks.outputs(self.stack("foundation"))["Repository"]
        with aws_errors_told():
            return push(self._client("ecr"), repository, PROJECT, self._tell)

    def _kept_data(self) -> dict[str, dict[str, str]]:
        """What a deployment that was taken down has left, by the names in the template, with what identifies it.

        Raises:
            DataError: The bucket's name is taken by somebody else, or the bucket is in another region.
        """
        if self.stacks.exists(self.stack("foundation")):
            return {}
        kept = {"Data": {"BucketName": self.bucket}} if self._has_bucket() else {}
        return kept | {resource: {"TableName": table} for resource, table in self._tables().items()}

    def _has_bucket(self) -> bool:
        try:
            self._client("s3").head_bucket(Bucket=self.bucket)
        except ClientError as error:
            code = str(error.response["ResponseMetadata"]["HTTPStatusCode"])
            if code == "404":
                return False
            if code == "403":
                raise DataError(
                    f"The bucket name {self.bucket} is taken by another account, or you may not use it. Name another: "
                    "--bucket."
                ) from error
            if code in ("301", "400"):
                raise DataError(
                    f"The bucket {self.bucket} is in another region. Deploy there, or name another: --bucket."
                ) from error
            with aws_errors_told():
                raise
        return True

    def _tables(self) -> dict[str, str]:
        """The tables that are there, by their names in the template."""
        dynamodb, found = self._client("dynamodb"), {}
        for resource, ending in TABLES.items():
            name = f"{self._wanted.name}-{ending}"
            with aws_errors_told():
                try:
                    dynamodb.describe_table(TableName=name)
                    found[resource] = name
                except dynamodb.exceptions.ResourceNotFoundException:
                    continue
        return found

    def _set_up_redshift(self) -> None:
        found = self.stacks.outputs(self.stack("warehouse"))
        administrator = Administrator(
            self._client("redshift-serverless"),
            self._client("redshift-data"),
            found["Workgroup"],
            found["Namespace"],
            self._wanted.pause,
        )
        administrator.run(FOLDER / "redshift-users.sql", found["BatchRole"], self._tell)
        administrator.limit(found["WorkgroupArn"], self._wanted.rpu_hours, self._tell)

    # What would be deployed.

    def show(self) -> None:
        """Tell what a deployment would change, and change nothing.

        Raises:
            DataError: AWS refuses a template or a parameter.
        """
        self._check_email()
        if kept := self._kept_data():
            self._tell(f"{self.stack('foundation')}: would take back {', '.join(kept)}, which stay as they are")
            self._tell_resources("foundation")
        else:
            self._show("foundation", self._of_foundation())
        image = self._image_to_be()
        given = {"warehouse": self._of_tasks(image), "api": self._of_api(image), "lake": {}}
        if self._has_github():
            given["github"] = self._of_github()
        for which, parameters in given.items():
            if self.stacks.exists(self.stack("foundation")):
                self._show(which, parameters)
            else:
                self._tell_resources(which)
        for name, scopes in self._wanted.clients.items():
            self._tell(f"client {name}: would get {', '.join(scopes)}")
        for name in self._wanted.revoked:
            self._tell(f"client {name}: would be deleted")

    def _tell_resources(self, which: str) -> None:
        count = len(names_in(template_of(FOLDER, which), "Resources"))
        self._tell(f"{self.stack(which)}: {count} resources, of which more can be told once the foundation stands")

    def _show(self, which: str, given: dict[str, str]) -> None:
        change_set = self._plan(which, given)
        if not change_set:
            self._tell(f"{self.stack(which)}: no changes")
            return
        self._tell(f"{self.stack(which)}:")
        for change in change_set.changes:
            self._tell(f"  {change}{', WHICH LOSES DATA OR CLIENTS' if change.loses else ''}")
        self.stacks.forget(change_set)

    def _image_to_be(self) -> str:
        """The image that would be deployed; of one that is not built yet the digest is not known."""
        if self._wanted.image:
            return self._wanted.image
        deployed = self.stacks.parameters(self.stack("api")).get("Image")
        tag = tag_of_image(PROJECT)
        repository = self.stacks.outputs(self.stack("foundation")).get("Repository")
        ecr = self._client("ecr")
        with aws_errors_told():
            try:
                [found] = ecr.describe_images(repositoryName=self._wanted.name, imageIds=[{"imageTag": tag}])[
                    "imageDetails"
                ]
                return f"{repository}@{found['imageDigest']}"
            except (ecr.exceptions.ImageNotFoundException, ecr.exceptions.RepositoryNotFoundException):
                self._tell(f"image: {tag} would be built" + (f", in place of {deployed}" if deployed else ""))
                return f"{repository or self._wanted.name}@sha256:{'0' * 64}"

    # What is taken down.

    def destroy(self, with_data: bool) -> None:
        """Delete every stack, the last first, and the roles of GitHub after all: CloudFormation may work under one of
        them. The data bucket and the tables stay, unless they shall go too.

        Args:
            with_data: Whether they go too.

        Raises:
            DataError: Something cannot be deleted; the text says why. The next run goes on where this one ended.
        """
        bucket = self.bucket
        self._unprotect_pool()
        for which in [*reversed(STACKS[:-1]), STACKS[-1]]:
            self.stacks.delete(self.stack(which))
        if with_data:
            self._delete_data(bucket)
            return
        if self._has_bucket():
            self._forget_runs(bucket)
        kept = ", ".join([f"s3://{bucket}", *self._tables().values()])
        self._tell(f"kept: {kept}. The next deployment takes them back; --destroy --delete-data deletes them.")

    def _unprotect_pool(self) -> None:
        pool = self.stacks.outputs(self.stack("api")).get("Pool")
        if pool:
            with aws_errors_told():
                # What is not named goes back to what Cognito has without it; so this says again who makes users.
                self._client("cognito-idp").update_user_pool(
                    UserPoolId=pool,
                    DeletionProtection="INACTIVE",
                    AdminCreateUserConfig={"AllowAdminCreateUserOnly": True},
                )

    def _forget_runs(self, bucket: str) -> None:
        """Remove what runs noted of a Redshift that is gone, or the first run on a new one would find nothing to do."""
        with aws_errors_told():
            for name in ("state.json", "lock"):
                self._client("s3").delete_object(Bucket=bucket, Key=f"runs/{name}")

    def _delete_data(self, bucket: str) -> None:
        if self._has_bucket():
            s3 = self._client("s3")
            with aws_errors_told():
                for page in s3.get_paginator("list_object_versions").paginate(Bucket=bucket):
                    found = [*page.get("Versions", []), *page.get("DeleteMarkers", [])]
                    keys = [{"Key": one["Key"], "VersionId": one["VersionId"]} for one in found]
                    if keys:
                        s3.delete_objects(Bucket=bucket, Delete={"Objects": keys, "Quiet": True})
                s3.delete_bucket(Bucket=bucket)
            self._tell(f"deleted: s3://{bucket}")
        for table in self._tables().values():
            with aws_errors_told():
                dynamodb = self._client("dynamodb")
                if dynamodb.describe_table(TableName=table)["Table"].get("DeletionProtectionEnabled"):
                    dynamodb.update_table(TableName=table, DeletionProtectionEnabled=False)
                    dynamodb.get_waiter("table_exists").wait(TableName=table)
                dynamodb.delete_table(TableName=table)
            self._tell(f"deleted: {table}")

    # What people read at the end.

    def next_steps(self) -> str:
        """Where everything is, how to get a token, what to do next, and what it costs while nothing happens."""
        api, warehouse = self.stacks.outputs(self.stack("api")), self.stacks.outputs(self.stack("warehouse"))
        bucket, region = self.bucket, self.region
        lines = [
            "",
            f"API          {api['Url']}",
            f"Data bucket  s3://{bucket}",
            f"Redshift     {warehouse['Host']}, database {DATABASE}",
            "",
            "A token for sending rows, valid for an hour (for look-ups: client "
            f"{api['Reader']}, scope transactions/read or predictions/read):",
            f"  secret=$(aws cognito-idp describe-user-pool-client --region {region} --user-pool-id {api['Pool']} \\",
            f"      --client-id {api['Till']} --query UserPoolClient.ClientSecret --output text)",
            f"  curl -s -u {api['Till']}:$secret -d grant_type=client_credentials -d scope=transactions/write \\",
            f"      {api['TokenUrl']}",
            "",
            "Next: confirm the mail of AWS Notifications, or no alarm reaches you. Put files into the bucket, then "
            "the markers, which start a run:",
            f"  aws s3 cp --recursive <folder of the CSV files> s3://{bucket}/raw/online_retail/",
            f"  aws s3 cp --recursive <folder of the CSV files> s3://{bucket}/raw/instacart/",
            f"  aws s3api put-object --bucket {bucket} --key raw/online_retail/_SUCCESS",
            "  Until the first nightly run is done, the alarm NoNightlyRun says so.",
            "",
            *self._command_in_the_batch(),
            *self._variables_of_github(),
            "",
            *self._idle_costs(),
            "",
            "No deployment has been recorded yet. Please add yours to docs/aws_runs.md.",
        ]
        return "\n".join(lines)

    def _variables_of_github(self) -> list[str]:
        roles = self.stacks.outputs(self.stack("github"))
        if not roles:
            return []
        return [
            "",
            "Variables of the repository, for the workflow Deploy:",
            f"  AWS_REGION={self.region}",
            f"  AWS_DEPLOY_ROLE={roles['DeployRole']}",
            f"  AWS_STACK_ROLE={roles['StackRole']}",
            *([] if self._wanted.name == "retail" else [f"  AWS_STACKS_NAME={self._wanted.name}"]),
        ]

    def _command_in_the_batch(self) -> list[str]:
        found = self.stacks.outputs(self.stack("foundation"))
        command = ["retail-warehouse", "publish", "--target", "prod"]
        network = f"subnets=[{found['SubnetA']}],securityGroups=[{found['TaskSecurity']}],assignPublicIp=ENABLED"
        return [
            "To run any other command as a batch task, such as refilling the look-ups:",
            f"  aws ecs run-task --region {self.region} --cluster {found['Cluster']} --launch-type FARGATE \\",
            f"      --task-definition {self.stack('warehouse')}-batch --network-configuration "
            f"'awsvpcConfiguration={{{network}}}' \\",
            f"      --overrides '{json.dumps({'containerOverrides': [{'name': 'batch', 'command': command}]})}'",
        ]

    def _idle_costs(self) -> list[str]:
        given = self.stacks.parameters(self.stack("api"))
        tasks, processor = int(given["ApiTasks"]), given["Architecture"]
        count = 2 + len(self._more_clients())
        left = ENTRY + count * CLIENT
        api = tasks * (API_TASK[processor] + ADDRESS) + left
        return [
            f"While nothing happens it costs about {api + REST:.0f} dollars a month (US East, list prices of 2026-11): "
            f"the API {api:.0f} ({tasks} tasks, their addresses, up to {count * CLIENT:.0f} for {count} clients of "
            f"Cognito), the rest {REST:.0f}. Redshift bills computing only while it computes: see docs/aws.md.",
            f"Without the API's tasks about {left + REST:.0f}, for the clients are charged still: make deploy "
            'ARGS="--api-tasks 0"',
        ]
