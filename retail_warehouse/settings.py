"""The environment variables that the package reads. ``docs/settings.md`` describes each. Those that only dbt reads are
in ``profiles.yml`` and in macros."""

import ipaddress
import logging
import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from retail_warehouse.errors import DataError

# The key of the local issuer and the serving store, below the project's folder.
STATE = Path(".streaming")
DYNAMODB = "dynamodb:"


class _Environment(BaseSettings):
    model_config = SettingsConfigDict(env_ignore_empty=True, extra="ignore", str_strip_whitespace=True)


class ProjectSettings(_Environment):
    """Files of the project, and limits of DuckDB. Each variable has the name of its field in upper case, here and
    below.

    Attributes:
        warehouse_path: The DuckDB file; it may be missing.
        duckdb_memory_limit: Memory that DuckDB may use, such as ``4GB``; empty for DuckDB's own limit.
        duckdb_threads: Threads within DuckDB; empty for all cores.
        instacart_data: Folder of Instacart files; empty for the bundled sample.
        predictions_data: Folder of the predictions and of the trained models.
        dbt_profiles_dir: Folder of ``profiles.yml``.
        dbt_target_path: Folder of dbt's artifacts.
        dbt_log_path: Folder of dbt's log.
        dbt_log_level_file: How much dbt's log holds.
        dbt_engine_log_level_file: The same, dbt's newer name for it, which counts where both are set.
    """

    warehouse_path: Path = Path("warehouse.duckdb")
    duckdb_memory_limit: str = ""
    duckdb_threads: str = ""
    instacart_data: str = ""
    predictions_data: Path = Path("predictions")
    dbt_profiles_dir: Path = Path()
    dbt_target_path: Path = Path("target")
    dbt_log_path: Path = Path("logs")
    dbt_log_level_file: str = "debug"
    dbt_engine_log_level_file: str = ""


class RunSettings(_Environment):
    """Runs on Amazon Redshift.

    Attributes:
        retail_warehouse_bucket: Name of the bucket that holds raw files, what is loaded and what is written.
        run_folder: Folder for copies of files of the bucket.
        run_vars: What every dbt command of a run gets as ``--vars``, as YAML.
    """

    retail_warehouse_bucket: str = ""
    run_folder: Path = Path(".runs")
    run_vars: str = ""


class _Service(_Environment):
    """Whether this is the service that customers use, or development.

    Attributes:
        retail_warehouse_env: ``development`` or ``production``.
    """

    retail_warehouse_env: str = "development"

    @property
    def is_production(self) -> bool:
        """Whether customers use it."""
        return self.retail_warehouse_env == "production"


class TokenSettings(_Service):
    """The issuer whose tokens the API accepts, and the token of a client.

    Attributes:
        cognito_issuer: ``https://cognito-idp.<region>.amazonaws.com/<pool>``; empty for the local issuer, which is
            never trusted in production.
        cognito_client_ids: App clients whose tokens are taken, separated by commas; required with the issuer.
        cognito_jwks_url: Address of the key set; empty for ``<issuer>/.well-known/jwks.json``.
        cognito_customer_claim: Claim that binds a token to a customer; empty for none.
        cognito_user_claim: Claim that binds a token to a user of the predictions; empty for none.
        cognito_delivery_claim: Claim that binds a token to deliveries; empty for none.
        retail_warehouse_token: Token that ``retail-warehouse stream`` sends to the API.
    """

    cognito_issuer: str = ""
    cognito_client_ids: str = ""
    cognito_jwks_url: str = ""
    cognito_customer_claim: str = ""
    cognito_user_claim: str = ""
    cognito_delivery_claim: str = ""
    retail_warehouse_token: str = ""


class Settings(_Service):
    """The stream and the API.

    Attributes:
        online_retail_landing: Folder or ``s3://`` prefix of landed rows; empty where none is named.
        landing_events: ``dynamodb:<table>``, the list of events of a landing on S3 without a disk; empty where rows
            are landed on a disk.
        serving_store: A path, or ``dynamodb:<table>``.
        api_docs: Whether the API describes itself; by default everywhere but in production.
        trusted_proxies: Addresses and networks of proxies that are believed when they name the caller.
        caller_header: The header in which they name it.
        log_level: Of the API's log.
        log_format: ``text`` or ``json``; by default JSON in production.
        metrics_token: What must be sent to read ``/metrics``.
    """

    online_retail_landing: str = ""
    landing_events: str = ""
    serving_store: str = str(STATE / "serving.sqlite")
    api_docs: bool | None = None
    trusted_proxies: Annotated[list[str], NoDecode] = Field(default_factory=list)
    caller_header: str = "X-Forwarded-For"
    log_level: str = "WARNING"
    log_format: Literal["text", "json"] | None = None
    metrics_token: str = ""

    @field_validator("trusted_proxies", mode="before")
    @classmethod
    def _split(cls, names: Any) -> list[str]:
        given = names.split(",") if isinstance(names, str) else names  # the default is a list
        named = [name.strip() for name in given if name.strip()]
        for name in named:
            try:
                ipaddress.ip_network(name)
            except ValueError as error:
                raise ValueError(
                    f"TRUSTED_PROXIES names {name}: {error}. Name the addresses or networks of your load balancer, by "
                    "commas, such as 10.0.0.0/16."
                ) from error
        return named

    @field_validator("caller_header")
    @classmethod
    def _check_header(cls, name: str) -> str:
        if not re.fullmatch(r"[A-Za-z0-9-]+", name):
            raise ValueError(f"CALLER_HEADER must be the name of one header, such as X-Forwarded-For (now: {name}).")
        return name

    @field_validator("log_level")
    @classmethod
    def _check_level(cls, level: str) -> str:
        if level.upper() not in logging.getLevelNamesMapping():
            raise ValueError(f"LOG_LEVEL is {level.upper()}; INFO tells of each request, WARNING of trouble alone.")
        return level.upper()

    @property
    def has_docs(self) -> bool:
        """Whether the API describes itself."""
        return not self.is_production if self.api_docs is None else self.api_docs

    @property
    def logs_json(self) -> bool:
        """Whether each line of the API's log is a JSON object."""
        return self.is_production if self.log_format is None else self.log_format == "json"

    @property
    def landing(self) -> tuple[Path, str | None]:
        """The local folder where rows are landed, and the S3 prefix that they are moved to, if there is one.

        Raises:
            DataError: Nothing is named, or something else.
        """
        name = self.online_retail_landing
        if not name:
            raise DataError("Set ONLINE_RETAIL_LANDING to the folder where rows are landed; dbt looks there too.")
        if ("://" in name and not name.startswith("s3://")) or name.startswith("~"):
            raise DataError(f"ONLINE_RETAIL_LANDING must be a folder, without ~, or an s3:// prefix (now: {name}).")
        return (STATE / "landing", name) if name.startswith("s3://") else (Path(name), None)

    @property
    def events_table(self) -> str | None:
        """The DynamoDB table of the list of events, if rows are landed on S3 without a disk.

        Raises:
            DataError: The list is named in another way, or rows are landed in a folder.
        """
        if not self.landing_events:
            return None
        if not self.landing_events.startswith(DYNAMODB) or self.landing_events == DYNAMODB:
            raise DataError(f"LANDING_EVENTS must be dynamodb:<table> (now: {self.landing_events}).")
        if not self.online_retail_landing.startswith("s3://"):
            raise DataError(
                "LANDING_EVENTS is for rows that are landed on S3: set ONLINE_RETAIL_LANDING to an s3:// prefix, or "
                "unset LANDING_EVENTS. A folder keeps its own list of events."
            )
        return self.landing_events.removeprefix(DYNAMODB)


def settings() -> Settings:
    """The settings of the stream and the API, as the environment is now.

    Raises:
        DataError: A variable makes no sense; the text names it.
    """
    try:
        return Settings()
    except ValidationError as error:
        [problem, *_] = error.errors(include_url=False)
        name = str(problem["loc"][0]).upper()
        told = str(problem.get("ctx", {}).get("error", "")) or f"{name} is {problem['input']}: {problem['msg']}."
        raise DataError(told) from error
