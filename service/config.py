"""Settings: read once at start from ``VECFERRY_*`` and a TOML file, frozen, secrets masked.

Rule: nothing outside the command line reads the environment; parts of the settings are passed down as values.
"""

import os
import re
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

import platformdirs
from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from service.errors import ConfigurationError
from service.stages import Stage

PREFIX = "VECFERRY_"
CONFIG_FILE_VARIABLE = "VECFERRY_CONFIG"
_NOT_SETTINGS = ("VECFERRY_TEST_", CONFIG_FILE_VARIABLE)

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110, section 5.6.2

Port = Annotated[int, Field(ge=0, le=65535)]
Fraction = Annotated[float, Field(ge=0.0, le=1.0)]
Positive = Annotated[int, Field(ge=1)]
Seconds = Annotated[float, Field(gt=0.0)]
Whole = Annotated[int, Field(ge=0)]
Amount = Annotated[float, Field(ge=0.0, allow_inf_nan=False)]


class Settings(BaseSettings):
    """Everything an operator can set. ``docs/configuration.md`` lists the same, a test compares the two."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_ignore_empty=True, frozen=True, extra="forbid"
    )

    qdrant_url: str | None = Field(
        default=None,
        description="The source. Unset: an embedded Qdrant engine in the data directory.",
    )
    qdrant_api_key: SecretStr | None = Field(
        default=None,
        description="Key for our own requests to Qdrant, and for clients when Postgres answers.",
    )
    qdrant_timeout_seconds: Seconds = Field(
        default=60.0, description="Longest wait for one answer of Qdrant."
    )
    qdrant_connections: Positive = Field(
        default=100, description="Most connections to Qdrant at once."
    )
    database_url: SecretStr | None = Field(
        default=None,
        description="The target (postgresql://…). Unset: an embedded Postgres in the data directory.",
    )
    database_connections: Positive = Field(
        default=16, description="Most connections to Postgres at once, per instance."
    )
    database_transaction_pooler: bool | None = Field(
        default=None,
        description="Whether the DSN points at a transaction pooler. Unset: yes for port 6543.",
    )
    host: str = Field(default="127.0.0.1", description="Address the proxy listens on.")
    port: Port = Field(
        default=6343, description="Port of the proxy (Qdrant REST API, metrics, health)."
    )
    control_port: Port = Field(
        default=6344, description="Port of the control API; always on 127.0.0.1."
    )
    data_dir: Path = Field(
        default_factory=lambda: Path(platformdirs.user_data_dir("vecferry")),
        description="Directory of the operator key, the embedded engines and their logs.",
    )
    default_stage: Stage = Field(
        default=Stage.OFF,
        description="Stage of a collection that is first seen: off, dualwrite or complete.",
    )
    tenant_header: str | None = Field(
        default=None,
        description="Request header that names the tenant; `ramp` percentages then stick to tenants.",
    )
    shadow_sample_rate: Fraction = Field(
        default=0.1, description="Share of searches that also run on the other store."
    )
    shadow_concurrency: Positive = Field(
        default=2, description="Shadow reads at once; more wait in the queue."
    )
    shadow_queue: Positive = Field(
        default=256, description="Shadow reads that may wait; more are dropped and counted."
    )
    shadow_timeout_seconds: Seconds = Field(
        default=5.0, description="Longest time of one shadow read."
    )
    backfill_page_size: Annotated[int, Field(ge=1, le=10_000)] = Field(
        default=1_000, description="Most points per page of a job (one transaction each)."
    )
    backfill_page_bytes: Annotated[int, Field(ge=1_024, le=256 * 1024 * 1024)] = Field(
        default=2 * 1024 * 1024,
        description="How large a page of a job should be; points of many dimensions make short pages.",
    )
    verify_points_per_second: Amount = Field(
        default=5.0,
        description="Random points that an instance compares all the time, of complete collections; 0 is none.",
    )
    workers: Annotated[int, Field(ge=0, le=64)] = Field(
        default=1,
        description="Ranges of backfills and verifications that this instance works on at once; 0: only others do.",
    )
    index_min_rows: Positive = Field(
        default=10_000, description="Vectors from which the backfill builds an HNSW index."
    )
    index_memory_mb: Whole = Field(
        default=0,
        description="Most megabytes of memory for one HNSW build. 0: what the server's own settings suggest.",
    )
    index_workers: Whole | None = Field(
        default=None,
        description="Parallel workers of one HNSW build. Unset: the server's max_parallel_maintenance_workers.",
    )
    throttle_target_ms: Amount = Field(
        default=1_000.0,
        description="Time to write a page to Postgres from which jobs go slower; 0 is no limit.",
    )
    throttle_source_ms: Amount = Field(
        default=2_000.0,
        description="Time to read a page from Qdrant from which jobs go slower; 0 is no limit.",
    )
    throttle_client_p99_ms: Amount = Field(
        default=500.0,
        description="Clients' 99th percentile on the slowest instance from which jobs go slower; 0 is no limit.",
    )
    throttle_lag_seconds: Amount = Field(
        default=10.0,
        description="Replication lag in seconds from which jobs go slower; 0 is no limit.",
    )
    throttle_lag_mb: Amount = Field(
        default=256.0,
        description="Replication lag in megabytes from which jobs go slower; 0 is no limit.",
    )
    throttle_wal_mb_per_second: Amount = Field(
        default=0.0,
        description="Megabytes of WAL per second on the whole server from which jobs go slower; 0 is no limit.",
    )
    throttle_archive_segments: Whole = Field(
        default=64,
        description="WAL segments that wait to be archived from which jobs go slower; 0 is no limit.",
    )
    throttle_connections: Fraction = Field(
        default=0.8,
        description="Share of Postgres' max_connections in use from which jobs go slower; 0 is no limit.",
    )
    throttle_unsettled: Whole = Field(
        default=10_000,
        description="Unsettled intents in the ledger from which jobs go slower; 0 is no limit.",
    )
    intent_budget_seconds: Seconds = Field(
        default=0.05,
        description="How long Postgres may take to store an intent before Qdrant keeps it as a hint.",
    )
    ramp_answer_seconds: Seconds = Field(
        default=2.0,
        description="How long a write in `ramp` waits for the second store before it is answered as owed.",
    )
    ramp_read_seconds: Seconds = Field(
        default=1.0,
        description="How long a moved read in `ramp` may take before Qdrant answers it.",
    )
    freeze_seconds: Seconds = Field(
        default=4.0, description="Deadline of a freeze; after it the old stage goes on."
    )
    freeze_queue: Positive = Field(
        default=1_000, description="Writes that may wait during a freeze; more get a 503."
    )
    grace_seconds: Seconds = Field(
        default=65.0,
        description="Longest client time-out: how late a write may still take effect in Qdrant.",
    )
    dead_letter_failures: Positive = Field(
        default=5,
        description="Refusals after which an intent is a dead letter: no longer tried again by itself.",
    )
    receipt_key: SecretStr | None = Field(
        default=None,
        description="Key with which receipts of verifications are signed (HMAC-SHA256). Unset: not signed.",
    )
    max_body_bytes: Positive = Field(
        default=32 * 1024 * 1024, description="Largest request body that is read into memory."
    )
    max_buffered_bytes: Positive = Field(
        default=512 * 1024 * 1024,
        description="Most bytes of request bodies in memory at once; more get a 503.",
    )
    max_requests: Positive = Field(
        default=1_000, description="Requests that are answered at once; more get a 503."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="Least severe log line that is written."
    )
    log_format: Literal["auto", "json", "console"] = Field(
        default="auto", description="`auto` is console on a terminal and JSON elsewhere."
    )

    @field_validator("qdrant_url")
    @classmethod
    def _http_url(cls, value: str | None) -> str | None:
        if value is None:
            return None
        parts = urlsplit(value)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            message = "must be http://host or https://host, with a port if it is not the usual one"
            raise ValueError(message)
        if parts.username is not None or parts.query or parts.fragment or parts.port == 0:
            message = "must have no user, query or fragment, and a port between 1 and 65535"
            raise ValueError(message)
        return value.rstrip("/")

    @field_validator("database_url")
    @classmethod
    def _postgres_url(cls, value: SecretStr | None) -> SecretStr | None:
        schemes = ("postgresql://", "postgres://")
        if value is not None and not value.get_secret_value().startswith(schemes):
            message = "must start with postgresql://"
            raise ValueError(message)
        return value

    @field_validator("tenant_header")
    @classmethod
    def _header_name(cls, value: str | None) -> str | None:
        if value is not None and not _TOKEN.fullmatch(value):
            message = "must be the name of an HTTP header, such as X-Tenant"
            raise ValueError(message)
        return value

    @field_validator("default_stage")
    @classmethod
    def _first_stage(cls, value: Stage) -> Stage:
        if value not in {Stage.OFF, Stage.DUALWRITE, Stage.COMPLETE}:
            message = "must be off, dualwrite or complete"
            raise ValueError(message)
        return value

    @model_validator(mode="after")
    def _two_ports(self) -> Self:
        if self.port and self.port == self.control_port:
            message = "control_port must differ from port"
            raise ValueError(message)
        return self

    @property
    def uses_source(self) -> bool:
        """Whether there is a Qdrant at all: not when everything new starts complete and no URL is given."""
        return self.qdrant_url is not None or self.default_stage is not Stage.COMPLETE

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - the hook's signature
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - the hook's signature
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Order of precedence: arguments, environment, the TOML file."""
        file = os.environ.get(CONFIG_FILE_VARIABLE)
        sources = (init_settings, env_settings)
        return (*sources, TomlConfigSettingsSource(settings_cls, Path(file))) if file else sources


def load(**overrides: object) -> Settings:
    """Read the settings. Raises ``ConfigurationError``, one line that names the setting."""
    _refuse_unknown()
    file = os.environ.get(CONFIG_FILE_VARIABLE)
    if file and not Path(file).is_file():
        message = f"{CONFIG_FILE_VARIABLE}: no file at {file}"
        raise ConfigurationError(message)
    try:
        return Settings(**{key: value for key, value in overrides.items() if value is not None})  # type: ignore[arg-type]  # pydantic checks the values
    except ValidationError as error:
        raise ConfigurationError(_one_line(error)) from None
    except (ValueError, OSError) as error:
        message = f"{CONFIG_FILE_VARIABLE}: {file}: {error}"
        raise ConfigurationError(message) from None


def _refuse_unknown() -> None:
    known = {PREFIX + name.upper() for name in Settings.model_fields}
    for name in sorted(os.environ):
        is_ours = name.startswith(PREFIX) and not name.startswith(_NOT_SETTINGS)
        if is_ours and name not in known:
            message = f"{name}: no such setting (see docs/configuration.md)"
            raise ConfigurationError(message)


def _one_line(error: ValidationError) -> str:
    first = error.errors()[0]
    name = "_".join(str(part) for part in first["loc"])
    reason = first["msg"].removeprefix("Value error, ")
    if first["type"] == "extra_forbidden":
        return f"{CONFIG_FILE_VARIABLE}: no such setting: {name} (see docs/configuration.md)"
    return f"{PREFIX}{name.upper()}: {reason}" if name else f"{PREFIX}CONTROL_PORT: {reason}"


__all__ = ["ConfigurationError", "Settings", "load"]
