"""dbt on Amazon Redshift, in this process: the project is parsed once for all commands of a run."""

import json
from typing import Any

import click

from retail_warehouse import building
from retail_warehouse.errors import DataError
from retail_warehouse.redshift_connection import connected

TARGET = "prod"


class Dbt:
    """Runs dbt commands on the target ``prod``.

    Attributes:
        vars: What is given to each command with ``--vars``, as YAML; empty for none.
    """

    def __init__(self, variables: str = "") -> None:
        """Parse nothing yet.

        Args:
            variables: For ``--vars``.
        """
        self.vars = variables
        self._manifest: Any = None

    def _options(self) -> list[str]:
        return ["--target", TARGET, *(["--vars", self.vars] if self.vars else [])]

    def manifest(self) -> Any:
        """The project as dbt has parsed it.

        Raises:
            DataError: It cannot be parsed.
        """
        if self._manifest is None:
            # Not before it is needed: dbt takes seconds to import.
            from dbt.cli.main import dbtRunner

            parsed = dbtRunner().invoke(["--quiet", "parse", *self._options()])
            if not parsed.success:
                raise DataError(f"dbt cannot parse the project: {_short(parsed.exception)}")
            self._manifest = parsed.result
        return self._manifest

    def build(self, *arguments: str) -> str:
        """Build and test, with one line of progress now and then, and return what was built.

        Args:
            arguments: Those of ``dbt build``. Unit tests are left out, since they do not depend on the data.

        Raises:
            DataError: A model or a test has failed, or dbt could not run; it has told why.
        """
        options = [*arguments, "--exclude-resource-type", "unit_test", *self._options()]
        status = building.build(options, manifest=self.manifest())
        if status:
            raise DataError("dbt build has failed; what failed is told above, and in the log of dbt.")
        return " ".join(("dbt build", *arguments))

    def operation(self, macro: str, **arguments: Any) -> str:
        """Run a macro.

        Raises:
            DataError: It has failed.
        """
        self._invoke("run-operation", macro, "--args", json.dumps(arguments))
        return macro

    def last_processed(self) -> str | None:
        """When the warehouse last took in a file, by its ledger; empty if it has taken in none, and none where there is
        no ledger.

        Raises:
            DataError: The warehouse cannot be reached.
        """
        with connected(TARGET) as (connection, _):
            from redshift_connector import ProgrammingError

            cursor = connection.cursor()
            try:
                cursor.execute("select max(processed_at) from audit.processed_files")
            except ProgrammingError as error:
                if "does not exist" in str(error):
                    return None
                raise DataError(f"The target {TARGET} refuses a query: {error}") from error
            [(last,)] = cursor.fetchall()
            return last.isoformat() if last else ""

    def write_docs(self) -> None:
        """Write the pages of the documentation, manifest and catalogue into dbt's target folder.

        Raises:
            DataError: It has failed.
        """
        self._invoke("docs", "generate", "--static")

    def _invoke(self, *arguments: str) -> None:
        from dbt.cli.main import dbtRunner

        result = dbtRunner(self.manifest()).invoke(["--quiet", *arguments, *self._options()])
        if not result.success:
            raise DataError(f"dbt {' '.join(arguments[:2])} has failed: {_short(result.exception) or 'see above'}")


def _short(exception: BaseException | None) -> str:
    """The error without the chain of macro calls, in one line."""
    if exception is None:
        return ""
    lines = click.unstyle(str(exception)).splitlines()
    return " ".join(" ".join(line for line in lines if not line.startswith("  > ")).split())
