"""What a person does to run the project on Redshift, from landing to documentation; CI does it on the stand-in, and
`redshift_gate.py` on a real cluster."""

from collections.abc import Callable, Iterator

SOURCES = ("instacart", "online_retail")
# Everything is compared, so everything is built; the bundled sample holds whole histories.
EVERYTHING = ("--selector", "with_parquet_export", "--vars", "{complete_histories: true}")


def sequence(location: str, iam_role: str) -> Iterator[tuple[str, ...]]:
    """The dbt commands on a warehouse without the project's schemas.

    Args:
        location: S3 prefix under which the folder of each source holds what was landed.
        iam_role: ARN of the role that reads there, or ``default``.
    """
    for source in SOURCES:
        arguments = f"{{source: {source}, location: '{location}/{source}', iam_role: '{iam_role}'}}"
        yield "run-operation", "load_raw", "--args", arguments
    yield ("seed",)
    # Every model's DDL, on no rows; unit tests need the relations.
    yield "run", "--empty", "--full-refresh", *EVERYTHING
    yield "build", "--full-refresh", *EVERYTHING
    # The incremental paths, with nothing new.
    yield "build", *EVERYTHING
    yield "docs", "generate", *EVERYTHING


def run(dbt: Callable, location: str, iam_role: str, **environment: str) -> str:
    """Run the sequence with `--target prod` and return the last command's output.

    Raises:
        AssertionError: A command failed; the message is its output.
    """
    outcome = None
    for command in sequence(location, iam_role):
        outcome = dbt(*command, "--target", "prod", **environment)
        assert outcome.ok, f"dbt {' '.join(command)}\n{outcome.output}"
    return outcome.output
