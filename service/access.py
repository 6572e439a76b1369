"""Who may ask for predictions, and how often."""

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
from service.problems import Problem

_log = logging.getLogger(__name__)

GUARDED = "/predict_traffic_sign"  # and what lies below; state, card and metrics are open


class Access:
    """Keys and a limit on the requests of each client, where the service has them.

    Args:
        keys: one of them is needed; none if everybody may ask.
        rate: such as `100/minute`; empty for no limit.
        storage: where the requests are counted; `memory://` counts in each worker for itself.

    Raises:
        ValueError: no such rate.
        ConfigurationError: no such storage.
    """

    def __init__(self, keys: Collection[str], rate: str, storage: str) -> None:
        self._keys = [key.encode() for key in keys]
        self._rate = parse(rate) if rate else None
        self._limiter = SlidingWindowCounterRateLimiter(open_storage(storage))

    async def check(self, path: str, key: str, address: str) -> None:
        """Let a request pass or not.

        Raises:
            Problem: it needs a key that it does not have, or its client has asked too often.
        """
        if not path.startswith(GUARDED):
            return
        # Every key is compared, each in constant time, so that the time tells nothing of them.
        if self._keys and not sum(hmac.compare_digest(key.encode(), other) for other in self._keys):
            challenge = {"WWW-Authenticate": f'ApiKey header="{KEY}"'}
            raise Problem("unauthorised", f"Send a key of this service in the header {KEY}.", headers=challenge)
        if self._rate:
            await self._check_rate(self._rate, key if self._keys else address)

    async def _check_rate(self, rate: RateLimitItem, client: str) -> None:
        try:
            if await self._limiter.hit(rate, client):
                return
            window = await self._limiter.get_window_stats(rate, client)
        except StorageError as error:
            _log.error("requests cannot be counted: %s", error)
            detail = "The store in which the requests of clients are counted cannot be reached."
            raise Problem("not_counted", detail, headers={"Retry-After": "5"}) from error
        seconds = max(1, math.ceil(window.reset_time - time.time()))
        raise Problem("too_many", f"At most {rate} are answered for one client.", headers={"Retry-After": str(seconds)})


def open_storage(address: str) -> Storage:
    """Return the store of counts at an address such as `memory://`.

    Raises:
        ConfigurationError: no such store, or its package is not installed.
    """
    options = {"implementation": "redispy"} if address.startswith("redis") else {}
    storage = storage_from_string(f"async+{address}", wrap_exceptions=True, **options)
    if not isinstance(storage, Storage):
        raise ConfigurationError(f"{address} cannot be used from an event loop")
    return storage
