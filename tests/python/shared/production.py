"""A warehouse in production: the stand-in for Redshift, the deployed stacks, and `retail-warehouse run`."""

import json
import shutil
import time
from pathlib import Path

import redshift_sequence
from conftest import WITH_ARTIFACTS, Command, Dbt, wait_for_output
from redshift_stand_in import StandIn

from retail_warehouse.runs.bucket import Bucket
from retail_warehouse.runs.lock import KEY
from shared.aws_fixtures import Deployed

BUCKET = "bucket"


class Production:
    """The stand-in and the stacks of `infrastructure/`, where runs do what they do on AWS: with the environment of the
    batch task, under its role."""

    def __init__(self, stand_in: StandIn, dbt: Dbt, deployed: Deployed) -> None:
        self.stand_in = stand_in
        self.s3, self.dynamodb = (deployed.aws.client(service) for service in ("s3", "dynamodb"))
        self.bucket = Bucket(BUCKET, self.s3)
        self.data: dict[str, str] = {}
        self.summaries: list[dict] = []
        self._dbt = dbt
        task = deployed.environment("retail-warehouse-batch")
        self._runs = {
            **{name: text for name, text in task.items() if not name.startswith("REDSHIFT_")},
            "REDSHIFT_IAM_ROLE": task["REDSHIFT_IAM_ROLE"],
            "RUN_FOLDER": str(dbt.folder / "runs"),
            "RUN_VARS": redshift_sequence.VARS,
        }
        self.environment = {**stand_in.environment, "PARQUET_EXPORT": "s3://bucket/exports", **WITH_ARTIFACTS}

    def __call__(self, *arguments: str, **environment: str):
        """A dbt command with the options and the environment of the runs, unless others are given: the project is
        parsed once for each."""
        options = {"--target": "prod", "--vars": redshift_sequence.VARS}
        missing = (text for option, value in options.items() if option not in arguments for text in (option, value))
        return self._dbt(*arguments, *missing, **{**self.environment, **self._runs, **environment})

    @property
    def folder(self) -> Path:
        return self._dbt.folder

    @property
    def manifest(self) -> dict:
        return json.loads((self._dbt.target / "manifest.json").read_text())

    def start(self, what: str) -> Command:
        environment = self.environment | self._runs
        return self._dbt.start("run", what, targets=("prod", "dev"), has_small_trees=True, **environment)

    def run(self, what: str) -> dict:
        """The summary of a run, with its exit code."""
        command = self.start(what)
        command.join()
        lines = self._dbt.output.read_text().splitlines()
        assert lines, "it says nothing"
        assert lines[-1].startswith("{"), "\n".join(lines[-40:])
        self.summaries.append({**json.loads(lines[-1]), "code": command.exitcode, "output": "\n".join(lines)})
        return self.summaries[-1]

    def kill(self, what: str, pattern: str) -> None:
        """Start a run, kill it where its output matches, and take away the lock that it would have held on to."""
        command = self.start(what)
        wait_for_output(self._dbt, command, pattern)
        command.kill()
        command.join()
        locked = self.run(what)
        assert (locked["code"], locked["status"]) == (3, "locked"), locked
        assert locked["reason"].startswith(f"Another run holds the lock: {what} on "), locked
        self.bucket.delete(KEY, self.bucket.read(KEY)[1])

    def put(self, folder: Path, prefix: str) -> None:
        """Upload what has changed below a folder, as people do."""
        known = self.bucket.files(prefix)
        for path in sorted(folder.rglob("*")):
            name = path.relative_to(folder).as_posix()
            if path.is_file() and (name not in known or self._content(f"{prefix}/{name}") != path.read_bytes()):
                self.bucket.write(f"{prefix}/{name}", path.read_bytes())

    def _content(self, key: str) -> bytes:
        return self.bucket.read(key)[0]

    def put_delivery(self, data: dict[str, str]) -> None:
        for source in redshift_sequence.SOURCES:
            self.put(Path(data[f"{source.upper()}_DATA"]), f"raw/{source}")
        # A file of this very second may still change, and is read again by the next build.
        time.sleep(1.1)

    def load_first(self, data: dict[str, str]) -> None:
        """Load and build a delivery step by step, as the pages say, from where runs copy it to."""
        location = f"s3://{BUCKET}/redshift_load/first"
        for source in redshift_sequence.SOURCES:
            prefix = f"raw/{source}"
            folder = self.folder / "runs" / prefix
            self.bucket.download(prefix, folder, self.bucket.files(prefix), lambda line: None)
            to = self.stand_in.s3 / location.removeprefix("s3://") / source
            given = {**self.environment, **self._runs, f"{source.upper()}_DATA": str(folder)}
            landed = self._dbt.start("land", source.replace("_", "-"), "--to", str(to), targets=("dev",), **given)
            landed.join()
            assert landed.exitcode == 0, self._dbt.output.read_text()
        shutil.copytree(data["PREDICTIONS_DATA"], self.stand_in.s3 / location.removeprefix("s3://") / "predictions")
        redshift_sequence.run(self, redshift_sequence.first(location))
