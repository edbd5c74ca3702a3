"""What CloudFormation cannot do on Redshift: users and their rights, and a limit of use."""

import string
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from stacks import aws_errors_told

from retail_warehouse.errors import DataError

DATABASE = "retail"
DEFAULT_RPU_HOURS = 120  # a month: 45 dollars at 0.375 an hour
_EXISTS = "already exists"


def statements_of(text: str, **names: str) -> list[str]:
    """The statements of a SQL file, without comments and the semicolons at their ends.

    Args:
        text: The file.
        names: What stands in place of ``$name``.

    Raises:
        DataError: The file asks for a name that is not given.
    """
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("--")]
    try:
        sql = string.Template("\n".join(lines)).substitute(names)
    except KeyError as error:
        raise DataError(f"The SQL uses the placeholder ${error.args[0]}, which has no value.") from error
    return [statement.strip() for statement in (sql + "\n").split(";\n") if statement.strip()]


class Administrator:
    """Runs statements as Redshift's administrator by the Data API. Redshift has put the password into Secrets
    Manager, and there it stays.

    Args:
        serverless: A boto3 client of Redshift Serverless.
        data: A boto3 client of the Redshift Data API.
        workgroup: Name of the workgroup.
        namespace: Name of the namespace.
        pause: Seconds between two looks whether a statement has ended.
    """

    def __init__(self, serverless: Any, data: Any, workgroup: str, namespace: str, pause: float = 1.0) -> None:
        """Ask nothing yet."""
        self._serverless, self._data = serverless, data
        self._workgroup, self._namespace, self._pause = workgroup, namespace, pause

    def run(self, path: Path, batch_role: str, tell: Callable[[str], None]) -> None:
        """Run a file of statements, of which those that make what exists already are passed over.

        Args:
            path: The file.
            batch_role: Name of the IAM role of the batch task.
            tell: Gets a line for people.

        Raises:
            DataError: A statement fails; the text has it and the reason.
        """
        with aws_errors_told():
            found = self._serverless.get_namespace(namespaceName=self._namespace)
        secret = found["namespace"].get("adminPasswordSecretArn")
        if not secret:
            raise DataError(f"The namespace {self._namespace} has no managed password. Let Secrets Manager keep it.")
        names = {"batch": f"IAMR:{batch_role}", "database": DATABASE}
        made = sum(self._execute(sql, secret) for sql in statements_of(path.read_text(encoding="utf-8"), **names))
        tell(f"redshift: {made} statements of {path.name} ran; the rest had already been applied")

    def _execute(self, sql: str, secret: str) -> bool:
        """Run a statement; tells whether it did anything."""
        with aws_errors_told():
            begun = self._data.execute_statement(
                WorkgroupName=self._workgroup, Database=DATABASE, SecretArn=secret, Sql=sql
            )["Id"]
            found = self._data.describe_statement(Id=begun)
            while found["Status"] not in ("FINISHED", "FAILED", "ABORTED"):
                time.sleep(self._pause)
                found = self._data.describe_statement(Id=begun)
        if found["Status"] == "FINISHED":
            return True
        reason = found.get("Error", found["Status"])
        if _EXISTS in reason:
            return False
        raise DataError(f"Redshift refuses a statement: {reason.strip()} It was: {sql}")

    def limit(self, arn: str, rpu_hours: int | None, tell: Callable[[str], None]) -> None:
        """Turn queries off for the rest of a month in which the workgroup has computed too long.

        Args:
            arn: ARN of the workgroup.
            rpu_hours: Most RPU-hours of a month; None leaves a limit as it is, and makes one of ``DEFAULT_RPU_HOURS``
                where there is none.
            tell: Gets a line for people.
        """
        with aws_errors_told():
            found = self._serverless.list_usage_limits(resourceArn=arn, usageType="serverless-compute")
            [limit] = [limit for limit in found.get("usageLimits", []) if limit["period"] == "monthly"] or [None]
            if limit is None:
                amount = rpu_hours or DEFAULT_RPU_HOURS
                self._serverless.create_usage_limit(
                    resourceArn=arn,
                    usageType="serverless-compute",
                    amount=amount,
                    period="monthly",
                    breachAction="deactivate",
                )
                tell(f"redshift: queries end for the month after {amount} RPU-hours")
            elif rpu_hours and limit["amount"] != rpu_hours:
                self._serverless.update_usage_limit(usageLimitId=limit["usageLimitId"], amount=rpu_hours)
                tell(f"redshift: queries end for the month after {rpu_hours} RPU-hours, no longer {limit['amount']}")
