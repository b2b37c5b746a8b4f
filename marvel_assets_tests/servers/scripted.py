"""Web servers on this machine that answer as a test says, and remember what they were asked."""

import ssl
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socket import AF_INET, AF_INET6
from threading import Thread
from typing import NamedTuple


class Answer(NamedTuple):
    status: int = 200
    headers: Mapping[str, str] = {}
    body: bytes = b""


def redirect(location: str) -> Answer:
    return Answer(302, {"Location": location, "Content-Length": "0"})


class Served(NamedTuple):
    """A server at work."""

    url: str
    port: int
    asked: list[str]
    bodies: list[bytes]


def print_nothing(*_: object) -> None:
    """Instead of a line per request, and of an error per connection that is closed before anything is asked."""


@contextmanager
def serving(
    answers: Callable[[str], Answer], host: str = "127.0.0.1", certificate: Path | None = None
) -> Iterator[Served]:
    """Answer each path, as ``answers`` says, until the block ends."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            served.bodies.append(self.rfile.read(int(self.headers.get("Content-Length", 0))))
            served.asked.append(self.path)
            answer = answers(self.path)
            self.send_response(answer.status)
            for name, value in {**answer.headers, "Connection": "close"}.items():
                self.send_header(name, value)
            self.end_headers()
            self.close_connection = True
            if self.command != "HEAD":
                with suppress(ConnectionError):  # whoever asked has had enough
                    self.wfile.write(answer.body)

        do_HEAD = do_POST = do_GET  # noqa: N815

        log_message = print_nothing

    class Server(ThreadingHTTPServer):
        address_family = AF_INET6 if ":" in host else AF_INET
        daemon_threads = True
        block_on_close = False
        handle_error = print_nothing

    with Server((host, 0), Handler) as listening:
        scheme = "http"
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            listening.socket = context.wrap_socket(listening.socket, server_side=True)
            scheme = "https"
        at = listening.server_port
        served = Served(f"{scheme}://{f'[{host}]' if ':' in host else host}:{at}", at, [], [])
        thread = Thread(target=listening.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield served
        finally:
            listening.shutdown()
            thread.join()


def own_certificate(folder: Path) -> Path:
    """A key and a certificate for 127.0.0.1 that nobody but the test trusts, in one PEM file."""
    file = folder / "certificate.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=127.0.0.1"]
    command += ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(file), "-out", str(file)]
    subprocess.run(command, check=True, capture_output=True)
    return file
