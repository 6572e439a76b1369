"""The function that AWS Lambda runs: `python -m awslambdaric service.aws_lambda.handler`.

It hands each event to the same application as gunicorn does, so answers, problems and options are the same. Importing
this module loads the classifiers.
"""

import asyncio
import os
from collections.abc import Mapping
from typing import Any, Final

from model.errors import ArtifactError
from service.app import create_app
from service.asgi import Message, Reply, Service
from service.components import components
from service.headers import KEY, REQUEST_ID
from service.lambda_events import HttpRequest, Result, is_http, read_event, result_of
from service.problems import Problem
from service.settings import PREFIX, Settings, SettingsError, read_settings

FEEDBACK: Final = f"{PREFIX}FEEDBACK"


class Handler:
    """Answers events, one at a time.

    Args:
        settings: of the service.
        service: answers; by default a new one with these settings.

    Raises:
        ArtifactError: no task has a classifier.
    """

    def __init__(self, settings: Settings, service: Service | None = None) -> None:
        self._service = service or create_service(settings)
        # A direct invocation needs a permission in AWS instead of a key.
        self._direct = {KEY.lower(): min(settings.keys)} if settings.keys else {}
        self._runner = asyncio.Runner()

    def __call__(self, event: object, context: Any) -> Result:
        """Return the answer to an event.

        Args:
            event: JSON types; see `service.lambda_events`.
            context: of the invocation.
        """
        http = is_http(event)
        defaults = {"host": "localhost", REQUEST_ID.lower(): context.aws_request_id, **({} if http else self._direct)}
        try:
            reply = self._runner.run(self._ask(read_event(event), defaults))
        except Problem as problem:
            reply = Reply.of(problem)
        return result_of(reply, http=http)

    async def _ask(self, request: HttpRequest, defaults: Mapping[str, str]) -> Reply:
        """Let the service answer a request."""
        sent: list[Message] = []

        async def receive() -> Message:
            return {"type": "http.request", "body": request.body, "more_body": False}

        async def send(message: Message) -> None:
            sent.append(message)

        await self._service(request.scope(defaults), receive, send)
        start, body = sent
        return Reply(start["status"], start["headers"], body["body"])


def create_service(settings: Settings) -> Service:
    """Create the service and load its classifiers.

    Raises:
        ArtifactError: no task has a classifier.
    """
    app = create_app(settings)
    problems = [served.readiness.problem() for served in components(app).catalogue.values()]
    if problems[0] and all(problems):
        raise ArtifactError(problems[0].detail)
    return Service(app)


def read_function_settings(environment: Mapping[str, str] = os.environ) -> Settings:
    """Read the settings as `service.settings.read_settings` does; there is no feedback.

    Raises:
        SettingsError: a setting is invalid, or cannot work in a function.
    """
    settings = read_settings({FEEDBACK: "false", **environment})
    if settings.feedback:
        raise SettingsError(f"{FEEDBACK}: a function on AWS Lambda has no disk to keep pictures on; unset it")
    if settings.rate_limit:
        advice = "unset it, and limit the concurrency of the function or the rate of API Gateway"
        raise SettingsError(f"{PREFIX}RATE_LIMIT: each instance of a function would count for itself; {advice}")
    return settings


handler = Handler(read_function_settings())
