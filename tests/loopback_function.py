"""The function on AWS Lambda, except that it fetches URLs from this machine and from nowhere else."""

from service.app import create_app
from service.asgi import Service
from service.aws_lambda import Handler, read_function_settings
from service.fetch import Address, Fetcher


def _is_here(address: Address) -> bool:
    return address.is_loopback


_settings = read_function_settings()
handler = Handler(_settings, Service(create_app(_settings), Fetcher(allowed=_is_here, ports=None)))
