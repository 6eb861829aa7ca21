"""A real server on this machine that misbehaves as it is told."""

import json
import socket
import socketserver
import struct
import threading
import time
from contextlib import contextmanager, suppress
from typing import Any


class Misbehaving(socketserver.ThreadingTCPServer):
    """Reads a request, then gives the socket to `behave`.

    Args:
        behave: Called with the socket, the request's path, its headers and its content.
    """

    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 128

    def __init__(self, behave: Any) -> None:
        self.requests: list[tuple[str, dict[str, str], Any]] = []
        self.over = threading.Event()
        outer = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self):
                line = self.rfile.readline().decode()
                headers = {}
                while (header := self.rfile.readline().decode().strip()) != "":
                    name, _, value = header.partition(": ")
                    headers[name.lower()] = value
                content = self.rfile.read(int(headers.get("content-length", 0)))
                asked = json.loads(content) if content else None
                path = line.split()[1]
                outer.requests.append((path, headers, asked))
                # Where the client has given up.
                with suppress(OSError):
                    behave(self.request, path, asked)

        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_address[1]}"


@contextmanager
def misbehaving(behave):
    with Misbehaving(behave) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield server
        server.over.set()
        server.shutdown()


def answer(connection, body, status=200, **headers):
    """A whole answer."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = [f"HTTP/1.1 {status} X", f"Content-Length: {len(data)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    connection.sendall("\r\n".join([*lines, "", ""]).encode() + data)


def trickle_body(connection):
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 10000000\r\n\r\n")
    for _ in range(600):
        connection.sendall(b" ")
        time.sleep(0.05)


def trickle_headers(connection):
    connection.sendall(b"HTTP/1.1 200 OK\r\nX-Slow: ")
    for _ in range(600):
        connection.sendall(b"x")
        time.sleep(0.05)


def hang(connection):
    time.sleep(30)


def flood(connection):
    """More than fits, without saying how much."""
    connection.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
    for _ in range(20_000):
        connection.sendall(b"x" * 65536)


def reset(connection):
    """Break off with RST in the middle of an answer."""
    connection.sendall(b'HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{"choices"')
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def close(connection):
    """Say nothing."""
    connection.close()


def say(body, status=200, **headers):
    return lambda connection: answer(connection, body, status, **headers)


SLOW = {"trickled body": trickle_body, "trickled headers": trickle_headers, "silence": hang}
BROKEN = {"reset": reset, "closed": close, "no HTTP": lambda c: c.sendall(b"SSH-2.0-x\r\n\r\n")}
NO_JSON = {
    "HTML": say(b"<html>busy\xff</html>"),
    "nothing": say(b""),
    "nested deep": say(b"[" * 100_000),
    "a lone surrogate": say(b'{"choices": [{"message": {"content": "\\ud800 Go"}}]}'),
    "flood": flood,
}
