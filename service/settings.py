"""Settings of the service, from environment variables that begin with SERVICE_."""

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import limits
from limits.errors import ConfigurationError
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from data.errors import TaskError
from data.source import STORE
from data.task import load_task
from model.artifact import ARTIFACTS
from service.access import open_storage

PREFIX = "SERVICE_"


class SettingsError(Exception):
    """A variable is unknown or its value is not allowed; the message names it."""


class Settings(BaseModel):
    """One field for each variable; the variable's name is the prefix and the field's name in capitals."""

    model_config = ConfigDict(frozen=True)

    host: str = Field("127.0.0.1", description="address to listen on; 0.0.0.0 for all")
    port: int = Field(9696, ge=1, le=65535, description="port to listen on")
    workers: int = Field(
        default_factory=lambda: usable_cores(),
        ge=1,
        description="processes; by default one for each processor that may be used",
    )
    threads: int = Field(4, ge=1, description="threads of a process for batches, forms, JSON and large pictures")
    inference_threads: int | None = Field(
        None, ge=1, description="inference threads per process (default: usable cores divided by workers, at least 1)"
    )
    queue: int = Field(64, ge=1, description="requests that may wait in a process; the next one gets 429")
    task: str = Field("traffic_sign", description="what is trained if there is no classifier")
    artifact: Path | None = Field(
        None, description="folder of the classifier; by default `model/artifacts/` and the task"
    )
    store: Path | None = Field(None, description="folder of data and checkpoints; by default `data/store`")
    data: Path | None = Field(
        None, description="the data set, a folder or archive; by default the one that is found in the store"
    )
    api_keys: str = Field(
        "", repr=False, description="keys with commas between; if any, a request for a prediction needs one"
    )
    rate_limit: str = Field("", description="predictions for each client, such as `100/minute`; empty for no limit")
    rate_limit_storage: str = Field(
        "memory://", description="where they are counted: `memory://`, in each process for itself, or `redis://…`"
    )
    cors_origins: str = Field(
        "", description="origins with commas between whose pages may read answers and leave feedback; none if empty"
    )
    log_format: Literal["json", "text"] = Field("json", description="`json`, a line for an event, or `text` for people")
    log_requests: bool = Field(False, description="log every request, not only those that fail with 500")
    allow_urls: bool = Field(False, description="fetch images that a request names by URL, from public addresses only")
    feedback: bool = Field(True, description="keep pictures that people name, for a later training")
    train: bool = Field(True, description="train at the first start if there is no classifier")

    @field_validator("api_keys")
    @classmethod
    def _be_keys(cls, value: str) -> str:
        if not _parts(value):  # a variable that was meant to hold one must not open the door
            raise ValueError("holds no key; leave the variable out to let everybody ask")
        if not value.isascii():
            raise ValueError("may hold ASCII characters only")
        return value

    @field_validator("task")
    @classmethod
    def _be_a_task(cls, value: str) -> str:
        with _as_value_error(TaskError):
            load_task(value)
        return value

    @field_validator("rate_limit")
    @classmethod
    def _be_a_rate(cls, value: str) -> str:
        rates = limits.parse_many(value) if value else []
        if len(rates) > 1 or any(rate.amount < 1 for rate in rates):
            raise ValueError("may hold one rate, of 1 or more")
        return value

    @field_validator("rate_limit_storage")
    @classmethod
    def _be_a_storage(cls, value: str) -> str:
        with _as_value_error(ConfigurationError):
            open_storage(value)
        return value

    @field_validator("cors_origins")
    @classmethod
    def _be_origins(cls, value: str) -> str:
        for origin in _parts(value):
            if not re.fullmatch(r"https?://[^/*]+", origin):
                raise ValueError(f"{origin} is no origin, such as https://example.org")
        return value

    @property
    def keys(self) -> frozenset[str]:
        """The keys, none if everybody may ask."""
        return _parts(self.api_keys)

    @property
    def origins(self) -> frozenset[str]:
        """The origins whose pages may read answers."""
        return _parts(self.cors_origins)

    @property
    def inference_pool(self) -> int:
        """Number of inference threads per process."""
        return self.inference_threads or max(1, usable_cores() // self.workers)

    @property
    def offers(self) -> list[str]:
        """What is switched on of that which may be off, sorted."""
        return sorted(name for name, on in {"feedback": self.feedback, "urls": self.allow_urls}.items() if on)

    @property
    def artifacts(self) -> dict[str, Path]:
        """The tasks that are served, one for now, and the folders of their classifiers, which may not exist yet."""
        return {self.task: self.artifact or ARTIFACTS / self.task}

    @property
    def store_folder(self) -> Path:
        """Folder for data sets, feedback, checkpoints and the state of a training."""
        return self.store or STORE


def usable_cores(quota: Path = Path("/sys/fs/cgroup/cpu.max")) -> int:
    """Return how many processors this process may keep busy: what it is bound to, and what its container is given."""
    cores = len(os.sched_getaffinity(0))
    try:
        share, period = quota.read_text(encoding="ascii").split()
    except (OSError, ValueError):  # no container, or one of an older kind
        return cores
    return cores if share == "max" else max(1, min(cores, round(int(share) / int(period))))


@contextmanager
def _as_value_error(kind: type[Exception]) -> Iterator[None]:
    """Turn another kind of error into that of which pydantic makes a message."""
    try:
        yield
    except kind as error:
        raise ValueError(str(error)) from error


def _parts(text: str) -> frozenset[str]:
    return frozenset(part for part in map(str.strip, text.split(",")) if part)


def read_settings(environment: Mapping[str, str] = os.environ) -> Settings:
    """Read and check all settings.

    Raises:
        SettingsError: an unknown variable with our prefix, or a value that is not allowed.
    """
    known = {PREFIX + name.upper(): name for name in Settings.model_fields}
    unknown = sorted(name for name in environment if name.startswith(PREFIX) and name not in known)
    if unknown:
        raise SettingsError(f"unknown settings: {', '.join(unknown)}; known: {', '.join(sorted(known))}")
    try:
        return Settings.model_validate({known[name]: value for name, value in environment.items() if name in known})
    except ValidationError as error:
        faults = [
            f"{PREFIX}{str(fault['loc'][0]).upper()}: {fault['msg'].removeprefix('Value error, ')}"
            for fault in error.errors()
        ]
        raise SettingsError("; ".join(faults)) from error
