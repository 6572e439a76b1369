"""Settings of the service, from environment variables that begin with SERVICE_."""

import os
from collections.abc import Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from data.source import STORE
from model.artifact import ARTIFACTS

PREFIX = "SERVICE_"


class SettingsError(Exception):
    """A variable is unknown or its value is not allowed; the message names it."""


class Settings(BaseModel):
    """One field for each variable; the variable's name is the prefix and the field's name in capitals."""

    model_config = ConfigDict(frozen=True)

    host: str = Field("127.0.0.1", description="address to listen on; 0.0.0.0 for all")
    port: int = Field(9696, ge=1, le=65535, description="port to listen on")
    workers: int = Field(
        default_factory=lambda: len(os.sched_getaffinity(0)),
        ge=1,
        description="processes; by default one for each processor",
    )
    threads: int = Field(4, ge=1, description="requests that a process handles at the same time")
    task: str = Field("traffic_sign", description="what is trained if there is no classifier")
    artifact: Path | None = Field(
        None, description="folder of the classifier; by default `model/artifacts/` and the task"
    )
    store: Path | None = Field(None, description="folder of data and checkpoints; by default `data/store`")
    api_keys: str = Field(
        "", repr=False, description="keys with commas between; if any, a request for a prediction needs one"
    )
    allow_urls: bool = Field(False, description="fetch images that a request names by URL, from public addresses only")
    train: bool = Field(True, description="train at the first start if there is no classifier")

    @field_validator("api_keys")
    @classmethod
    def _hold_a_key(cls, value: str) -> str:
        if value and not value.replace(",", "").strip():
            raise ValueError("holds no key; leave the variable out to let everybody ask")
        return value

    @property
    def keys(self) -> frozenset[str]:
        """The keys, none if everybody may ask."""
        return frozenset(key for key in map(str.strip, self.api_keys.split(",")) if key)

    @property
    def artifact_folder(self) -> Path:
        """Where the classifier is, or will be."""
        return self.artifact or ARTIFACTS / self.task

    @property
    def store_folder(self) -> Path:
        """Where data, checkpoints and the progress of a training are."""
        return self.store or STORE


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
        faults = [f"{PREFIX}{str(fault['loc'][0]).upper()}: {fault['msg']}" for fault in error.errors()]
        raise SettingsError("; ".join(faults)) from error
