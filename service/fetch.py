"""Fetches pictures from untrusted URLs without reaching anything that is not public.

A host name is resolved once, all of its addresses must be public, and the connection goes to a checked address, so DNS
rebinding does not work. Redirects are followed manually and checked in the same way. Proxies and credentials in the
environment are ignored. One deadline covers the whole fetch, but a slow resolver is only noticed when it answers.
"""

import http.client
import ipaddress
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from urllib.parse import quote, urljoin, urlsplit

from data.images import MAX_BYTES
from service.problems import TOO_LARGE, Problem

PORTS = {"http": 80, "https": 443}
MAX_REDIRECTS = 3
MAX_URL = 2048  # characters
TIMEOUT_S = 5.0
CHUNK = 64 * 1024
SAFE = "/%:@!$&'()*+,;=?~-._"  # characters that need no quoting
REDIRECTS = frozenset({301, 302, 303, 307, 308})
TRANSLATED = ipaddress.IPv6Network("64:ff9b::/96")  # NAT64: the last 32 bits are an IPv4 address
UNICAST = ipaddress.IPv6Network("2000::/3")  # all addresses assigned to the public internet
# Accepted by `is_global`, at least in older versions of Python: special uses, documentation, and cloud services.
REFUSED = tuple(
    map(ipaddress.ip_network, ("192.0.0.0/24", "192.88.99.0/24", "168.63.129.16/32", "3fff::/20", "2001::/23"))
)

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def resolve(host: str, port: int) -> list[str]:
    """Return the IP addresses of a host as text; raises OSError if it has none."""
    return [str(answer[4][0]) for answer in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]


def is_public(address: Address) -> bool:
    """Say whether an IP address is public; for an IPv6 address that embeds an IPv4 address, the latter decides."""
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour
        if address in TRANSLATED:
            inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        if inner is not None:
            return is_public(inner)
        if address not in UNICAST:
            return False
    special = address.is_multicast or address.is_reserved or any(address in network for network in REFUSED)
    return address.is_global and not special


@dataclass(frozen=True)
class Fetcher:
    """Fetches pictures.

    `resolve` returns the addresses of a host, `allowed` says which of them may be reached, `ports` are the allowed
    ports, None for all, and `timeout_s` is the time limit for a whole fetch.
    """

    resolve: Callable[[str, int], Sequence[str]] = resolve
    allowed: Callable[[Address], bool] = is_public
    ports: frozenset[int] | None = frozenset(PORTS.values())
    timeout_s: float = TIMEOUT_S

    def fetch(self, url: str) -> bytes:
        """Return the content at a URL, at most `MAX_BYTES`.

        Raises:
            Problem: `url_refused` if the URL is not allowed, `url_failed` if fetching failed, or `too_large`.
        """
        deadline = time.monotonic() + self.timeout_s
        for _ in range(MAX_REDIRECTS + 1):
            body, target = self._get(url, deadline)
            if target is None:
                return body
            try:
                url = urljoin(url, target)
            except ValueError as error:
                raise Problem("url_failed", "The redirect target is not a valid URL.") from error
        raise Problem("url_failed", f"Too many redirects (limit {MAX_REDIRECTS}).")

    def _get(self, url: str, deadline: float) -> tuple[bytes, str | None]:
        """Return the body, or the target of a redirect."""
        scheme, host, port, path = self._checked(url)
        try:
            with self._connected(scheme, host, port, deadline) as connection:
                connection.request("GET", path, headers={"Accept": "image/*", "Connection": "close"})
                with closing(connection.getresponse()) as response:
                    if response.status in REDIRECTS and response.getheader("Location"):
                        return b"", response.getheader("Location")
                    body = _read(response, host, deadline)
        except (OSError, http.client.HTTPException, ValueError) as error:
            if time.monotonic() >= deadline:
                raise Problem("url_failed", f"{host} timed out (limit {self.timeout_s:g} s).") from error
            raise Problem("url_failed", f"{host} cannot be reached or does not answer in HTTP.") from error
        if time.monotonic() >= deadline:
            raise Problem("url_failed", f"{host} timed out (limit {self.timeout_s:g} s).")
        return body, None

    def _checked(self, url: str) -> tuple[str, str, int, str]:
        """Return scheme, host, port, and path with query of a valid URL; the host is not resolved yet."""
        if len(url) > MAX_URL or any(ord(letter) <= ord(" ") for letter in url):
            raise Problem("url_refused", f"The URL contains whitespace or more than {MAX_URL} characters.")
        try:
            parts = urlsplit(url)
            path, query = (quote(part, safe=SAFE) for part in (parts.path or "/", parts.query))
            host, port = (parts.hostname or "").encode("idna").decode(), parts.port or PORTS.get(parts.scheme, 0)
        except ValueError as error:
            raise Problem("url_refused", "This is not a valid URL.") from error
        if parts.scheme not in PORTS or not host:
            raise Problem("url_refused", "The URL must start with http:// or https://.")
        if parts.username is not None or parts.password is not None:
            raise Problem("url_refused", "The URL must not contain a user name or password.")
        if self.ports is not None and port not in self.ports:
            raise Problem("url_refused", f"Port {port} is not allowed; use one of {sorted(self.ports)}.")
        return parts.scheme, host, port, f"{path}?{query}" if query else path

    @contextmanager
    def _connected(self, scheme: str, host: str, port: int, deadline: float) -> Iterator[http.client.HTTPConnection]:
        """Connect to a checked address, and close the connection at the deadline whatever it is doing."""
        try:
            addresses = [ipaddress.ip_address(address) for address in self.resolve(host, port)]
        except OSError as error:
            raise Problem("url_failed", f"The host {host} was not found.") from error
        if not addresses or not all(map(self.allowed, addresses)):
            raise Problem("url_refused", f"{host} is not a public address.")
        left = max(deadline - time.monotonic(), 0.001)
        sock = socket.create_connection((str(addresses[0]), port), timeout=left)
        open_sockets = [sock]

        def cut() -> None:
            with suppress(OSError):
                open_sockets[-1].shutdown(socket.SHUT_RDWR)

        timer = threading.Timer(max(deadline - time.monotonic(), 0), cut)
        timer.daemon = True
        try:
            timer.start()
            if scheme == "https":
                context = ssl.create_default_context()
                wrapped = context.wrap_socket(sock, server_hostname=host, do_handshake_on_connect=False)
                open_sockets.append(wrapped)
                wrapped.do_handshake()
            connection = http.client.HTTPConnection(host, port)  # for the header Host; already connected
            connection.default_port = PORTS[scheme]
            connection.sock = open_sockets[-1]
            yield connection
        finally:
            timer.cancel()
            open_sockets[-1].close()


def _read(response: http.client.HTTPResponse, host: str, deadline: float) -> bytes:
    if response.status != http.HTTPStatus.OK:
        raise Problem("url_failed", f"{host} answered with status {response.status}.")
    if response.getheader("Content-Encoding", "identity") != "identity":
        raise Problem("url_failed", f"{host} sent the image with a content encoding, which is not supported.")
    promised, body = response.length or 0, bytearray()
    while chunk := response.read1(CHUNK):
        body += chunk
        if time.monotonic() >= deadline:
            raise TimeoutError
        if len(body) > MAX_BYTES:
            raise Problem("too_large", TOO_LARGE)
    if len(body) < promised:
        raise Problem("url_failed", f"{host} closed the connection before the image was complete.")
    return bytes(body)
