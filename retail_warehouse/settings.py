"""The settings of the streaming process, from the environment; the tokens' own are in :mod:`.tokens`."""

import ipaddress
import logging
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from retail_warehouse.errors import DataError

# The key of the local issuer and the serving store, below the project's folder.
STATE = Path(".streaming")
DYNAMODB = "dynamodb:"


class Settings(BaseSettings):
    """What environment variables say; a variable has the name of its field, in upper case.

    Attributes:
        online_retail_landing: Folder or ``s3://`` prefix of landed rows; empty where none is named.
        serving_store: A path, or ``dynamodb:<table>``.
        retail_warehouse_env: ``development`` or ``production``.
        api_docs: Whether the API describes itself; by default everywhere but in production.
        trusted_proxies: Addresses and networks whose ``X-Forwarded-For`` is believed.
        log_level: Of the API's log.
    """

    model_config = SettingsConfigDict(env_ignore_empty=True, extra="ignore", str_strip_whitespace=True)

    online_retail_landing: str = ""
    serving_store: str = str(STATE / "serving.sqlite")
    retail_warehouse_env: str = "development"
    api_docs: bool | None = None
    trusted_proxies: Annotated[list[str], NoDecode] = Field(default_factory=list)
    log_level: str = "WARNING"

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

    @field_validator("log_level")
    @classmethod
    def _check_level(cls, level: str) -> str:
        if level.upper() not in logging.getLevelNamesMapping():
            raise ValueError(f"LOG_LEVEL is {level.upper()}; INFO tells of each request, WARNING of trouble alone.")
        return level.upper()

    @property
    def has_docs(self) -> bool:
        """Whether the API describes itself."""
        return self.retail_warehouse_env != "production" if self.api_docs is None else self.api_docs

    @property
    def landing(self) -> tuple[Path, str | None]:
        """The folder of this machine where rows are landed, and the S3 prefix that they are moved to, if one is named.

        Raises:
            DataError: Nothing is named, or something else.
        """
        name = self.online_retail_landing
        if not name:
            raise DataError("Set ONLINE_RETAIL_LANDING to the folder where rows are landed; dbt looks there too.")
        if ("://" in name and not name.startswith("s3://")) or name.startswith("~"):
            raise DataError(f"ONLINE_RETAIL_LANDING must be a folder, without ~, or an s3:// prefix (now: {name}).")
        return (STATE / "landing", name) if name.startswith("s3://") else (Path(name), None)


def settings() -> Settings:
    """The settings as the environment is now.

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
