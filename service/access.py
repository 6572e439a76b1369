"""API keys and rate limits."""

import hmac
import logging
import math
import time
from collections.abc import Collection

from limits import RateLimitItem, parse
from limits.aio.storage import Storage
from limits.aio.strategies import SlidingWindowCounterRateLimiter
from limits.errors import ConfigurationError, StorageError
from limits.storage import storage_from_string

from service.headers import KEY
from service.paths import is_guarded
from service.problems import Problem

_log = logging.getLogger(__name__)


class Access:
    """Checks the API key and the rate limit of requests.

    Args:
        keys: valid keys; empty if no key is required.
        rate: limit per client, for example `100/minute`; empty for no limit.
        storage: where requests are counted; `memory://` counts in each worker separately.

    Raises:
        ValueError: `rate` is invalid.
        ConfigurationError: `storage` is invalid.
    """

    def __init__(self, keys: Collection[str], rate: str, storage: str) -> None:
        self._keys = [key.encode() for key in keys]
        self._rate = parse(rate) if rate else None
        self._limiter = SlidingWindowCounterRateLimiter(open_storage(storage))

    async def check(self, path: str, key: str, address: str) -> None:
        """Check a request.

        Args:
            path: of the request.
            key: value of its header X-API-Key.
            address: IP address of the client.

        Raises:
            Problem: it has no valid key, its client has reached the limit, or requests cannot be counted.
        """
        if not is_guarded(path):
            return
        # Compare with every key, each in constant time, so that response times reveal nothing about the keys.
        if self._keys and not sum(hmac.compare_digest(key.encode(), other) for other in self._keys):
            challenge = {"WWW-Authenticate": f'ApiKey header="{KEY}"'}
            raise Problem("unauthorised", f"Send a valid API key in the header {KEY}.", headers=challenge)
        if self._rate:
            await self._check_rate(self._rate, key if self._keys else address)

    async def _check_rate(self, rate: RateLimitItem, client: str) -> None:
        try:
            if await self._limiter.hit(rate, client):
                return
            window = await self._limiter.get_window_stats(rate, client)
        except StorageError as error:
            _log.error("the rate limit storage failed: %s", error)
            detail = "The storage that counts requests is unavailable."
            raise Problem("not_counted", detail, headers={"Retry-After": "5"}) from error
        seconds = max(1, math.ceil(window.reset_time - time.time()))
        raise Problem("too_many", f"The limit per client is {rate}.", headers={"Retry-After": str(seconds)})


def open_storage(address: str) -> Storage:
    """Return the storage at a URL such as `memory://`.

    Raises:
        ConfigurationError: there is no such storage, or its package is not installed.
    """
    options = {"implementation": "redispy"} if address.startswith("redis") else {}
    storage = storage_from_string(f"async+{address}", wrap_exceptions=True, **options)
    if not isinstance(storage, Storage):
        raise ConfigurationError(f"{address} does not support asyncio")
    return storage
