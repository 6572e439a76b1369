"""The settings of the page, read from environment variables that start with UI_."""

import os
import re
from collections.abc import Mapping

from pydantic import BaseModel, ConfigDict, Field, HttpUrl, ValidationError

PREFIX = "UI_"
# What Kubernetes sets in pods for a Service whose name starts with `ui`, and Docker for such a link: NAME=value.
_LINK = re.compile(
    rf"{PREFIX}(\w+_)?(SERVICE_HOST=|SERVICE_PORT(_\w+)?=|PORT_\d+_(TCP|UDP|SCTP)|PORT=(tcp|udp|sctp)://)"
)


class SettingsError(Exception):
    """A variable is unknown or its value is invalid; the message names it."""


class Settings(BaseModel):
    """One field per variable, whose name is the prefix and the field's name in upper case."""

    model_config = ConfigDict(frozen=True)

    service_url: HttpUrl = Field(
        HttpUrl("http://localhost:9696"), description="URL at which the page reaches the prediction service"
    )
    public_url: HttpUrl | None = Field(
        None,
        description="URL at which other programs reach the service, shown in the examples (default: `UI_SERVICE_URL`)",
    )
    api_key: str = Field("", repr=False, description="API key that the page sends, if the service requires one")
    timeout_s: float = Field(10.0, gt=0, description="seconds to wait for an answer from the service")


def read_settings(environment: Mapping[str, str] = os.environ) -> Settings:
    """Read and check all settings.

    Raises:
        SettingsError: an unknown variable with our prefix, which may be from a Kubernetes Service or a Docker link, or
            an invalid value.
    """
    links = sorted(name for name, value in environment.items() if _LINK.match(f"{name}={value}"))
    if links:
        raise SettingsError(
            f"{', '.join(links)}: these are not settings; Kubernetes sets them if a Service is named `ui` (or its name "
            "starts with `ui-`), and Docker if a link is. Set `enableServiceLinks: false` in the pod, or use "
            "another name"
        )
    known = {PREFIX + name.upper(): name for name in Settings.model_fields}
    unknown = sorted(name for name in environment if name.startswith(PREFIX) and name not in known)
    if unknown:
        raise SettingsError(f"unknown settings: {', '.join(unknown)}; known settings: {', '.join(sorted(known))}")
    try:
        return Settings.model_validate({known[name]: value for name, value in environment.items() if name in known})
    except ValidationError as error:
        faults = [f"{PREFIX}{str(fault['loc'][0]).upper()}: {fault['msg']}" for fault in error.errors()]
        raise SettingsError("; ".join(faults)) from error
