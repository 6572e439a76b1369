"""The bare work: the cheapest HTTP server we could write, decoding and inference, in one process and one thread.

It understands only the requests of the benchmark: POST with Content-Length on keep-alive connections.
"""

import json
import selectors
import socket
from typing import cast

from bench.peers.common import PORT, classifier, summary
from data.images import decode


def main() -> None:
    """Serve until killed."""
    work = classifier()
    size = work.card.input_size
    with socket.create_server(("127.0.0.1", PORT), backlog=512) as listener, selectors.EpollSelector() as selector:
        selector.register(listener, selectors.EVENT_READ)
        received: dict[socket.socket, bytes] = {}
        while True:
            for key, _ in selector.select():
                connection = cast("socket.socket", key.fileobj)
                if connection is listener:
                    client, _ = listener.accept()
                    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    selector.register(client, selectors.EVENT_READ)
                    received[client] = b""
                    continue
                try:
                    data = connection.recv(65536)
                except ConnectionResetError:
                    data = b""
                if not data:
                    selector.unregister(connection)
                    del received[connection]
                    connection.close()
                    continue
                message = received[connection] + data
                head, _, body = message.partition(b"\r\n\r\n")
                length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0] or 0)
                if len(body) < length:
                    received[connection] = message
                    continue
                received[connection] = b""
                answer = json.dumps(summary(work.classify(decode(body, size))) if length else {}).encode()
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(answer), answer))


if __name__ == "__main__":
    main()
