"""Settings of the service, from environment variables that start with SERVICE_."""

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

import limits
from limits.errors import ConfigurationError
from pydantic import BaseModel, ConfigDict, Field, FilePath, ValidationError, field_validator

from data.errors import TaskError
from data.source import STORE
from data.task import DEFAULT_TASK, IN_URLS, Task, list_tasks, load_task
from model.artifact import ARTIFACTS, CARD_FILE
from service.access import open_storage

PREFIX = "SERVICE_"
# NAME=value, as Kubernetes sets it in pods for a Service whose name starts with `service`, and Docker for such a link.
_LINK = re.compile(
    rf"{PREFIX}(\w+_)?(SERVICE_HOST=|SERVICE_PORT(_\w+)?=|PORT_\d+_(TCP|UDP|SCTP)|PORT=(tcp|udp|sctp)://)"
)


class SettingsError(Exception):
    """A variable is unknown or has an invalid value; the message names it."""


@dataclass(frozen=True)
class TaskSettings:
    """A task to serve.

    Attributes:
        task: its labels and data set.
        artifact: folder of its classifier, which may not exist yet.
        data: its data set, a folder or an archive; None to look for it in the store.
    """

    task: Task
    artifact: Path
    data: Path | None


class Settings(BaseModel):
    """One field per variable; its name is the prefix followed by the name of the field in capitals."""

    model_config = ConfigDict(frozen=True)

    host: str = Field("127.0.0.1", description="address to listen on; 0.0.0.0 listens on all interfaces")
    port: int = Field(9696, ge=1, le=65535, description="port to listen on")
    workers: int = Field(
        default_factory=lambda: usable_cores(), ge=1, description="worker processes (default: usable cores)"
    )
    threads: int = Field(4, ge=1, description="threads per process for batches, forms, JSON and large pictures")
    inference_threads: int | None = Field(
        None,
        ge=1,
        description="inference threads per process (default: usable cores divided by workers, at least 1)",
    )
    tf_serving: str = Field(
        "",
        pattern=r"^$|^[^\s/:]+:\d{1,5}$|^\[[0-9a-fA-F:]+\]:\d{1,5}$",
        description="host and gRPC port of TensorFlow Serving, for example `tf-serving:8500`, which then runs all "
        "networks; all addresses of the host take turns (default: LiteRT in the service's processes)",
    )
    tf_serving_ca: FilePath | None = Field(
        None,
        description="file with the certificates, in PEM format, that TLS to TensorFlow Serving trusts "
        "(default: no TLS)",
    )
    tf_serving_timeout_s: float = Field(
        5.0,
        gt=0,
        le=60,
        description="time limit for TensorFlow Serving in seconds, for all calls about one picture together",
    )
    queue: int = Field(64, ge=1, description="requests that may wait per process; further ones get 429")
    tasks: str = Field(
        "",
        description="comma-separated tasks to serve, and to train if there is no classifier; `POST /predict` means the "
        f"first (default: `{DEFAULT_TASK}`, then every other task with a classifier in `SERVICE_ARTIFACTS`)",
    )
    artifacts: Path | None = Field(
        None, description="folder with a folder named after each task for its classifier (default: `model/artifacts`)"
    )
    artifact: Path | None = Field(
        None, description="folder of the first task's classifier (default: `<task>` in `SERVICE_ARTIFACTS`)"
    )
    store: Path | None = Field(
        None, description="folder for data sets, feedback and checkpoints (default: `data/store`)"
    )
    data: Path | None = Field(
        None,
        description="data set of the first task, to show and to train on at the first start, a folder or an archive "
        "(default: found in the store); those of the other tasks are looked for in the store",
    )
    api_keys: str = Field(
        "",
        repr=False,
        description="comma-separated keys; if set, every prediction and feedback request needs one in the header "
        "`X-API-Key`",
    )
    rate_limit: str = Field(
        "",
        description="prediction and feedback requests allowed per client (API key, or else IP address), for example "
        "`100/minute`; a batch counts as one",
    )
    rate_limit_storage: str = Field(
        "memory://",
        description="where requests are counted: `memory://` (per process) or `redis://…` (shared; needs the package "
        "`redis`)",
    )
    cors_origins: str = Field("", description="comma-separated origins whose pages may read answers and send feedback")
    log_format: Literal["json", "text"] = Field(
        "json", description="log format: `json` (one object per line) or `text`"
    )
    log_requests: bool = Field(False, description="log every request, not only those that fail with 500")
    allow_urls: bool = Field(False, description="fetch pictures from URLs named in requests; public addresses only")
    feedback: bool = Field(True, description="accept labelled pictures from users and keep them for later training")
    train: bool = Field(True, description="train the classifiers that are missing on startup, one after the other")

    @field_validator("host")
    @classmethod
    def _be_without_brackets(cls, value: str) -> str:
        return value[1:-1] if value.startswith("[") and value.endswith("]") else value  # as in URLs: [::1]

    @field_validator("tf_serving")
    @classmethod
    def _be_an_address(cls, value: str) -> str:
        if value and int(value.rpartition(":")[2]) > 65535:
            raise ValueError("the port must be at most 65535")
        return value

    @field_validator("tf_serving_ca")
    @classmethod
    def _be_certificates(cls, value: Path | None) -> Path | None:
        if value and b"BEGIN CERTIFICATE" not in value.read_bytes():
            raise ValueError("contains no certificate in PEM format")
        return value

    @field_validator("api_keys")
    @classmethod
    def _be_keys(cls, value: str) -> str:
        if not _listed(value):  # a variable that is set by mistake must not disable authentication
            raise ValueError("contains no key; unset it to disable authentication")
        if not value.isascii():
            raise ValueError("may contain only ASCII characters")
        return value

    @field_validator("tasks")
    @classmethod
    def _be_tasks(cls, value: str) -> str:
        if not _listed(value):
            raise ValueError("contains no task; unset it to serve every task that has a classifier")
        return value

    @field_validator("rate_limit")
    @classmethod
    def _be_a_rate(cls, value: str) -> str:
        rates = limits.parse_many(value) if value else []
        if len(rates) > 1 or any(rate.amount < 1 for rate in rates):
            raise ValueError("must be a single rate of at least 1, for example 100/minute")
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
        for origin in _listed(value):
            if not re.fullmatch(r"https?://[^/*]+", origin):
                raise ValueError(f"{origin} is not an origin; use for example https://example.org")
        return value

    @property
    def keys(self) -> frozenset[str]:
        """The valid keys; empty if no key is required."""
        return frozenset(_listed(self.api_keys))

    @property
    def origins(self) -> frozenset[str]:
        """The origins whose pages may read answers."""
        return frozenset(_listed(self.cors_origins))

    @property
    def inference_pool(self) -> int:
        """Number of threads per process for inferences, and of those that search photos.

        Each of the latter needs memory for a decoded photo.
        """
        return self.inference_threads or max(1, usable_cores() // self.workers)

    @property
    def offers(self) -> list[str]:
        """The enabled features, sorted."""
        return sorted(name for name, on in {"feedback": self.feedback, "urls": self.allow_urls}.items() if on)

    @cached_property
    def served(self) -> dict[str, TaskSettings]:
        """The tasks to serve, by name; the first is that of the routes and settings that do not name one.

        Raises:
            TaskError: a task does not exist, its file is invalid, or its name cannot be part of URLs.
        """
        folder = self.artifacts or ARTIFACTS
        first, *others = (_load(name) for name in _listed(self.tasks) or _tasks_with_artifacts(folder))
        return {
            first.name: TaskSettings(first, self.artifact or folder / first.name, self.data),
            **{task.name: TaskSettings(task, folder / task.name, None) for task in others},
        }

    @property
    def store_folder(self) -> Path:
        """Folder for data sets, feedback, checkpoints and the state of a training."""
        return self.store or STORE


def _tasks_with_artifacts(folder: Path) -> list[str]:
    """Return the default task, and the other tasks that have an artifact in this folder."""
    others = [name for name in list_tasks() if name != DEFAULT_TASK and (folder / name / CARD_FILE).exists()]
    return [DEFAULT_TASK, *others]


def _load(name: str) -> Task:
    task = load_task(name)
    if not IN_URLS.fullmatch(name):
        raise TaskError(f"the task {name!r} is part of URLs, so its name must be in snake case, and not 'labels'")
    return task


def usable_cores(quota: Path = Path("/sys/fs/cgroup/cpu.max")) -> int:
    """Return the number of CPU cores that this process may use, by its affinity and the quota of its container."""
    cores = len(os.sched_getaffinity(0))
    try:
        share, period = quota.read_text(encoding="ascii").split()
    except (OSError, ValueError):  # no container, or cgroups of version 1
        return cores
    return cores if share == "max" else max(1, min(cores, round(int(share) / int(period))))


@contextmanager
def _as_value_error(kind: type[Exception]) -> Iterator[None]:
    """Turn another kind of error into a ValueError, which pydantic reports."""
    try:
        yield
    except kind as error:
        raise ValueError(str(error)) from error


def _listed(text: str) -> list[str]:
    """Return the different parts of a comma-separated list, in order."""
    return list(dict.fromkeys(part for part in map(str.strip, text.split(",")) if part))


def read_settings(environment: Mapping[str, str] = os.environ) -> Settings:
    """Read and check all settings, and the tasks that they name.

    Raises:
        SettingsError: an unknown variable with our prefix, which may be from a Kubernetes Service or a Docker link, an
            invalid value, or an unknown or invalid task.
    """
    known = {PREFIX + name.upper(): name for name in Settings.model_fields}
    ours = {name: value for name, value in environment.items() if name.startswith(PREFIX)}
    links = sorted(name for name, value in ours.items() if _LINK.match(f"{name}={value}"))
    if links:
        raise SettingsError(
            f"{', '.join(links)}: these are not settings; Kubernetes sets them if a Service is named `service` (or its "
            "name starts with `service-`), and Docker if a link is. Set `enableServiceLinks: false` in the pod, or use "
            "another name"
        )
    unknown = sorted(ours.keys() - known)
    if unknown:
        raise SettingsError(f"unknown settings: {', '.join(unknown)}; known: {', '.join(sorted(known))}")
    try:
        settings = Settings.model_validate({known[name]: value for name, value in ours.items()})
        _ = settings.served  # reads the tasks
    except TaskError as error:
        raise SettingsError(f"{PREFIX}TASKS: {error}") from error
    except ValidationError as error:
        faults = [
            f"{PREFIX}{str(fault['loc'][0]).upper()}: {fault['msg'].removeprefix('Value error, ')}"
            for fault in error.errors()
        ]
        raise SettingsError("; ".join(faults)) from error
    return settings
