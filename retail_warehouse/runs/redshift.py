"""dbt on Amazon Redshift, in this process, so that the project is parsed once per run."""

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
        vars: YAML that each command gets as ``--vars``; empty for none.
    """

    def __init__(self, variables: str = "") -> None:
        """Prepare it; the project is not parsed.

        Args:
            variables: YAML for ``--vars``; empty for none.
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
            # Imported here, since importing dbt takes seconds.
            from dbt.cli.main import dbtRunner

            parsed = dbtRunner().invoke(["--quiet", "parse", *self._options()])
            if not parsed.success:
                raise DataError(f"dbt cannot parse the project: {_short(parsed.exception)}")
            self._manifest = parsed.result
        return self._manifest

    def build(self, *arguments: str) -> str:
        """Build and test, printing progress from time to time, and return the command.

        Args:
            arguments: Arguments of ``dbt build``. Unit tests are left out, since they do not depend on the data.

        Raises:
            DataError: A model or a test failed, or dbt could not run; dbt has printed why.
        """
        options = [*arguments, "--exclude-resource-type", "unit_test", *self._options()]
        status = building.build(options, manifest=self.manifest())
        if status:
            raise DataError("dbt build failed; the models and tests that failed are listed above, and in dbt's log.")
        return " ".join(("dbt build", *arguments))

    def operation(self, macro: str, **arguments: Any) -> str:
        """Run a macro.

        Raises:
            DataError: It failed.
        """
        self._invoke("run-operation", macro, "--args", json.dumps(arguments))
        return macro

    def last_processed(self) -> str | None:
        """When the warehouse last processed a file, by its ledger, as an ISO 8601 timestamp; empty if it has processed
        none, and None if there is no ledger.

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
        """Write the documentation, the manifest and the catalog to dbt's target folder.

        Raises:
            DataError: It failed.
        """
        self._invoke("docs", "generate", "--static")

    def _invoke(self, *arguments: str) -> None:
        from dbt.cli.main import dbtRunner

        result = dbtRunner(self.manifest()).invoke(["--quiet", *arguments, *self._options()])
        if not result.success:
            raise DataError(f"dbt {' '.join(arguments[:2])} failed: {_short(result.exception) or 'see above'}")


def _short(exception: BaseException | None) -> str:
    """The error on one line, without the chain of macro calls."""
    if exception is None:
        return ""
    lines = click.unstyle(str(exception)).splitlines()
    return " ".join(" ".join(line for line in lines if not line.startswith("  > ")).split())
