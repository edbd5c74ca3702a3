"""CloudFormation stacks, deployed by change sets: what would change is known before anything does."""

import contextlib
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    EndpointConnectionError,
    NoCredentialsError,
    NoRegionError,
    PartialCredentialsError,
    ProfileNotFound,
    SSOTokenLoadError,
    TokenRetrievalError,
    UnauthorizedSSOTokenError,
)

from retail_warehouse.errors import DataError

# What cannot be made again from the data bucket, or is known to programs outside.
PRECIOUS = {
    "AWS::Cognito::UserPool",
    "AWS::Cognito::UserPoolClient",
    "AWS::DynamoDB::Table",
    "AWS::RedshiftServerless::Namespace",
    "AWS::S3::Bucket",
}
_MINUTE = 60.0  # seconds
_EXPIRED = {"ExpiredToken", "ExpiredTokenException", "RequestExpired"}
_UNKNOWN_KEYS = {"InvalidClientTokenId", "UnrecognizedClientException", "SignatureDoesNotMatch", "AuthFailure"}
_REFUSED = {"AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "AuthorizationError"}
_NO_CREDENTIALS = (
    NoCredentialsError,
    PartialCredentialsError,
    SSOTokenLoadError,
    TokenRetrievalError,
    UnauthorizedSSOTokenError,
)
_NO_CHANGES = ("didn't contain changes", "No updates are to be performed")
_STUCK = {
    "CREATE_FAILED": "Delete it, then deploy again: aws cloudformation delete-stack --stack-name {name}",
    "DELETE_FAILED": "See in the console what could not be deleted, fix it, and delete the stack again.",
    "ROLLBACK_COMPLETE": "Its creation failed. Delete it, then deploy again: "
    "aws cloudformation delete-stack --stack-name {name}",
    "ROLLBACK_FAILED": "Delete it, then deploy again: aws cloudformation delete-stack --stack-name {name}",
    "UPDATE_ROLLBACK_FAILED": "Bring it back to what it was, then deploy again: "
    "aws cloudformation continue-update-rollback --stack-name {name}",
}


@contextlib.contextmanager
def aws_errors_told() -> Iterator[None]:
    """Turn an error of AWS into one line that names what to do.

    Raises:
        DataError: In place of an error of botocore.
    """
    try:
        yield
    except NoRegionError as error:
        raise DataError("No region is set. Name one: --region eu-west-2, or set AWS_DEFAULT_REGION.") from error
    except ProfileNotFound as error:
        raise DataError(f"{error}. Look at AWS_PROFILE and ~/.aws/config.") from error
    except _NO_CREDENTIALS as error:
        raise DataError("There are no AWS credentials. Log in: aws sso login, or aws configure.") from error
    except EndpointConnectionError as error:
        raise DataError(f"{error} Check the region, and that the network lets you out.") from error
    except ClientError as error:
        code, message = error.response["Error"].get("Code", ""), error.response["Error"].get("Message", "")
        if code in _EXPIRED:
            raise DataError("The AWS credentials have expired. Log in again: aws sso login.") from error
        if code in _UNKNOWN_KEYS:
            raise DataError("AWS does not know these credentials. Log in again: aws sso login.") from error
        if code in _REFUSED:
            raise DataError(
                f"AWS refuses {error.operation_name}: {message} Use a role with this permission."
            ) from error
        raise DataError(f"AWS answers to {error.operation_name}: {code}, {message}") from error
    except BotoCoreError as error:
        raise DataError(f"Cannot reach AWS: {error}") from error


@dataclass(frozen=True)
class Change:
    """What a change set does to a resource.

    Attributes:
        action: ``Add``, ``Modify``, ``Remove`` or ``Import``.
        resource: Its logical id.
        kind: Its type, such as ``AWS::S3::Bucket``.
        replacement: Whether it is replaced by a new one: ``True``, ``False`` or ``Conditional``, which is known only
            while it is done.
    """

    action: str
    resource: str
    kind: str
    replacement: str = "False"

    @property
    def loses(self) -> bool:
        """Whether something is lost that cannot be made again."""
        return self.kind in PRECIOUS and (self.replacement != "False" or self.action == "Remove")

    def __str__(self) -> str:
        """For people."""
        instead = {"True": ", by a new one", "Conditional": ", perhaps by a new one"}.get(self.replacement, "")
        return f"{self.action} {self.resource} ({self.kind}){instead}"


@dataclass(frozen=True)
class ChangeSet:
    """A change set that can be executed.

    Attributes:
        stack: Name of the stack.
        arn: Its ARN.
        creates: Whether the stack is new.
        changes: What it does.
    """

    stack: str
    arn: str
    creates: bool
    changes: tuple[Change, ...]


def _blocks_in(template: str, section: str) -> dict[str, str]:
    """The text of each thing in a section, with its name, without comments above it."""
    found = re.search(rf"^{section}:\n((?:(?: .*)?\n)+)", template, re.MULTILINE)
    blocks = re.findall(r"^(  (\w+):(?: .*)?\n(?:(?:   .*)?\n)*)", found[1] if found else "", re.MULTILINE)
    return {name: text for text, name in blocks}


def names_in(template: str, section: str) -> list[str]:
    """The names in a section of a template, in their order.

    Args:
        template: Text of the template, indented by two spaces.
        section: ``Parameters``, ``Resources`` or ``Outputs``.
    """
    return list(_blocks_in(template, section))


def type_in(template: str, resource: str) -> str:
    """The type of a resource, such as ``AWS::S3::Bucket``."""
    return re.search(r"^    Type: (\S+)", _blocks_in(template, "Resources")[resource], re.MULTILINE)[1]


def reduced(template: str, resources: Iterable[str]) -> str:
    """A template of some of its resources, which refer to nothing but parameters."""
    blocks = _blocks_in(template, "Resources")
    parameters = "".join(_blocks_in(template, "Parameters").values())
    kept = "".join(blocks[name] for name in resources)
    return f'AWSTemplateFormatVersion: "2010-09-09"\nParameters:\n{parameters}\nResources:\n{kept}'


def _as_parameters(given: Mapping[str, str]) -> list[dict[str, Any]]:
    return [{"ParameterKey": key, "ParameterValue": value} for key, value in given.items()]


class Stacks:
    """The stacks of a region.

    Args:
        client: A boto3 client of CloudFormation.
        tell: Gets a line for people.
        role: ARN of the role that CloudFormation works under; empty for the caller's own rights.
        pause: Seconds between two looks at what takes long.
        owner: Tells the ARN of the role with the rights of an administrator; empty if there is none.
    """

    def __init__(
        self,
        client: Any,
        tell: Callable[[str], None],
        role: str = "",
        pause: float = 3.0,
        owner: Callable[[], str] = str,
    ) -> None:
        """Ask nothing yet."""
        self._client, self._tell, self._role, self._pause, self._owner = client, tell, role, pause, owner

    def _role_for(self, stack: dict | None) -> dict[str, str]:
        """Which role CloudFormation is told to work under. It keeps the role of a stack's last deployment, and would go
        on under it without a word; a deployment by GitHub leaves one that may do little.

        Raises:
            DataError: It would go on under such a role.
        """
        if self._role:
            return {"RoleARN": self._role}
        kept = (stack or {}).get("RoleARN")
        if not stack or not kept:
            return {}
        owner = self._owner()
        if not owner:
            raise DataError(
                f"CloudFormation would work on {stack['StackName']} under {kept}, the role of its last deployment, and "
                "not with your rights. Name the ARN of a role for CloudFormation that has them: --stack-role."
            )
        return {"RoleARN": owner}

    def _stack(self, name: str) -> dict | None:
        try:
            with aws_errors_told():
                [stack] = self._client.describe_stacks(StackName=name)["Stacks"]
        except DataError as error:
            if "does not exist" in str(error):
                return None
            raise
        return None if stack["StackStatus"] in ("REVIEW_IN_PROGRESS", "DELETE_COMPLETE") else stack

    def exists(self, name: str) -> bool:
        """Whether there is such a stack with anything in it."""
        return self._stack(name) is not None

    def outputs(self, name: str) -> dict[str, str]:
        """Outputs of a stack by their keys; empty if there is no such stack."""
        found = (self._stack(name) or {}).get("Outputs", [])
        return {output["OutputKey"]: output["OutputValue"] for output in found}

    def parameters(self, name: str) -> dict[str, str]:
        """Parameters that a stack was last deployed with; empty if there is no such stack."""
        found = (self._stack(name) or {}).get("Parameters", [])
        return {given["ParameterKey"]: given.get("ParameterValue", "") for given in found}

    def plan(self, name: str, template: str, given: Mapping[str, str], tags: Mapping[str, str]) -> ChangeSet | None:
        """Ask what a deployment would change.

        Args:
            name: Name of the stack.
            template: Text of its template.
            given: Parameters. One that is not given keeps its value, or has the template's default in a new stack.
            tags: Tags of the stack and of all in it.

        Returns:
            The change set; None if nothing would change.

        Raises:
            DataError: The stack is in no state to be deployed, or AWS refuses template or parameters.
        """
        stack = self._stack(name)
        if stack:
            self._check_is_free(name, stack["StackStatus"])
        previous = self.parameters(name)
        parameters = _as_parameters(given)
        for key in names_in(template, "Parameters"):
            if key not in given and key in previous:
                parameters.append({"ParameterKey": key, "UsePreviousValue": True})
        return self._change_set(
            name,
            stack,
            ChangeSetType="UPDATE" if stack else "CREATE",
            TemplateBody=template,
            Parameters=parameters,
            Tags=[{"Key": key, "Value": value} for key, value in tags.items()],
        )

    def take_in(
        self, name: str, template: str, given: Mapping[str, str], kept: Mapping[str, Mapping[str, str]]
    ) -> None:
        """Make a stack of resources that exist already, such as the bucket that a deleted stack has left. Deploying the
        whole template comes after it.

        Args:
            name: Name of the stack, which does not exist.
            template: Text of the template.
            given: Parameters.
            kept: The resources, by their names in the template; each with what identifies it, such as ``{"BucketName":
                "retail-data"}``.

        Raises:
            DataError: AWS refuses it.
        """
        change_set = self._change_set(
            name,
            None,
            ChangeSetType="IMPORT",
            TemplateBody=reduced(template, kept),
            Parameters=_as_parameters(given),
            ResourcesToImport=[
                {"ResourceType": type_in(template, resource), "LogicalResourceId": resource, "ResourceIdentifier": key}
                for resource, key in kept.items()
            ],
        )
        if change_set:
            self.execute(change_set)

    def _change_set(self, name: str, stack: dict | None, **request: Any) -> ChangeSet | None:
        """Make a change set, and wait until it is known what it does; None if nothing. Each request also names the
        stack, since rights are given on stacks."""
        with aws_errors_told():
            arn = self._client.create_change_set(
                StackName=name,
                ChangeSetName=f"deploy-{time.time_ns()}",
                Capabilities=["CAPABILITY_NAMED_IAM"],
                **self._role_for(stack),
                **request,
            )["Id"]
            found = self._client.describe_change_set(StackName=name, ChangeSetName=arn)
            while found["Status"].endswith(("_PENDING", "_IN_PROGRESS")):
                time.sleep(self._pause)
                found = self._client.describe_change_set(StackName=name, ChangeSetName=arn)
        if found["Status"] == "FAILED":
            self._delete_change_set(name, arn, stack is None)
            reason = found.get("StatusReason", "no reason is given")
            if any(text in reason for text in _NO_CHANGES):
                return None
            raise DataError(f"The stack {name} cannot be deployed: {reason}")
        return ChangeSet(name, arn, stack is None, self._changes_of(name, arn))

    def _check_is_free(self, name: str, status: str) -> None:
        if status.endswith("_IN_PROGRESS"):
            raise DataError(
                f"The stack {name} is being changed ({status}). Wait until that is done, then deploy again."
            )
        if status in _STUCK:
            raise DataError(f"The stack {name} is in {status}. {_STUCK[status].format(name=name)}")

    def _changes_of(self, name: str, arn: str) -> tuple[Change, ...]:
        with aws_errors_told():
            pages = self._client.get_paginator("describe_change_set").paginate(StackName=name, ChangeSetName=arn)
            found = [entry["ResourceChange"] for page in pages for entry in page["Changes"]]
        return tuple(
            Change(
                change["Action"],
                change["LogicalResourceId"],
                change["ResourceType"],
                change.get("Replacement", "False") if change["Action"] == "Modify" else "False",
            )
            for change in found
        )

    def forget(self, change_set: ChangeSet) -> None:
        """Delete a change set, and the empty stack that one of a new stack has made."""
        self._delete_change_set(change_set.stack, change_set.arn, change_set.creates)

    def _delete_change_set(self, name: str, arn: str, is_new: bool) -> None:
        with aws_errors_told():
            self._client.delete_change_set(StackName=name, ChangeSetName=arn)
            if is_new:
                self._client.delete_stack(StackName=name)

    def execute(self, change_set: ChangeSet) -> None:
        """Do what a change set says, and wait until it is done.

        Raises:
            DataError: It fails; the text has the first reason. CloudFormation has then brought the stack back to what
                it was.
        """
        begun = time.time()
        with aws_errors_told():
            self._client.execute_change_set(StackName=change_set.stack, ChangeSetName=change_set.arn)
        status = self._wait(change_set.stack)
        if status not in ("CREATE_COMPLETE", "UPDATE_COMPLETE", "IMPORT_COMPLETE"):
            raise DataError(f"The stack {change_set.stack} ended in {status}. {self._first_failure(change_set.stack)}")
        self._tell(f"{change_set.stack}: {status}, {time.time() - begun:.0f} s")

    def delete(self, name: str) -> None:
        """Delete a stack, if it is there, and wait until it is gone.

        Raises:
            DataError: It cannot be deleted; the text has the first reason.
        """
        stack = self._stack(name)
        if not stack:
            return
        role = self._role_for(stack)
        with aws_errors_told():
            self._client.delete_stack(StackName=stack["StackId"], **role)
        status = self._wait(stack["StackId"])
        if status != "DELETE_COMPLETE":
            raise DataError(f"The stack {name} ended in {status}. {self._first_failure(name)}")
        self._tell(f"{name}: deleted")

    def _wait(self, name: str) -> str:
        """The status of a stack once it has settled; told every minute until then."""
        begun = told = time.monotonic()
        while True:
            try:
                with aws_errors_told():
                    [stack] = self._client.describe_stacks(StackName=name)["Stacks"]
            except DataError as error:
                if "does not exist" in str(error):
                    return "DELETE_COMPLETE"
                raise
            if not stack["StackStatus"].endswith("_IN_PROGRESS"):
                return stack["StackStatus"]
            if time.monotonic() - told > _MINUTE:
                told = time.monotonic()
                self._tell(f"{stack['StackName']}: {stack['StackStatus']}, {told - begun:.0f} s")
            time.sleep(self._pause)

    def _first_failure(self, name: str) -> str:
        """The reason of the failure from which all others of the last operation follow."""
        reasons = []
        with aws_errors_told():
            for page in self._client.get_paginator("describe_stack_events").paginate(StackName=name):
                for event in page["StackEvents"]:
                    if event["ResourceStatus"].endswith("_FAILED") and "ResourceStatusReason" in event:
                        reasons.append(f"{event['LogicalResourceId']}: {event['ResourceStatusReason']}")
                    # Events come newest first; this one began the operation.
                    if event.get("ResourceStatusReason") == "User Initiated":
                        return reasons[-1] if reasons else ""
        return reasons[-1] if reasons else ""


def template_of(folder: Path, stack: str) -> str:
    """The text of the template of a stack, such as ``foundation``.

    Raises:
        DataError: It is not there.
    """
    path = folder / f"{stack}.yaml"
    if not path.is_file():
        raise DataError(f"{path} is missing: the checkout is not complete.")
    return path.read_text(encoding="utf-8")
