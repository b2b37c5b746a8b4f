"""Web servers on this machine that answer as a test says, and remember the requests."""

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
    """A server at work, and the paths and bodies that were requested."""

    url: str
    port: int
    paths: list[str]
    bodies: list[bytes]


class Handler(BaseHTTPRequestHandler):
    """Answers as the server's ``respond`` says, or closes the connection without an answer."""

    server: "Listener"

    def do_GET(self) -> None:
        answer = self.server.respond(self, self.rfile.read(int(self.headers.get("Content-Length") or 0)))
        self.close_connection = True
        if answer is not None:
            self.send_response(answer.status)
            for name, value in {**answer.headers, "Connection": "close"}.items():
                self.send_header(name, value)
            with suppress(ConnectionError):  # the client has seen enough
                self.end_headers()
                self.wfile.write(b"" if self.command == "HEAD" else answer.body)

    do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_GET  # noqa: N815

    def log_message(self, *_: object) -> None:
        """Print no line per request."""


class Listener(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 50

    def __init__(self, respond: Callable[[Handler, bytes], Answer | None], host: str = "127.0.0.1") -> None:
        self.respond, self.address_family = respond, AF_INET6 if ":" in host else AF_INET
        super().__init__((host, 0), Handler)

    def handle_error(self, *_: object) -> None:
        """Print nothing for a connection that is closed before its request."""

    @contextmanager
    def running(self) -> Iterator[None]:
        """Serve until the block ends."""
        thread = Thread(target=self.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield
        finally:
            self.shutdown()
            thread.join()
            self.server_close()


@contextmanager
def serving(
    answers: Callable[[str], Answer], host: str = "127.0.0.1", certificate: Path | None = None
) -> Iterator[Served]:
    """Answer each path, as ``answers`` says, until the block ends."""

    def respond(handler: Handler, body: bytes) -> Answer:
        served.bodies.append(body)
        served.paths.append(handler.path)
        return answers(handler.path)

    server, scheme = Listener(respond, host), "https" if certificate else "http"
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    url = f"{scheme}://{f'[{host}]' if ':' in host else host}:{server.server_port}"
    served = Served(url, server.server_port, [], [])
    with server.running():
        yield served


def own_certificate(folder: Path) -> Path:
    """A key and a self-signed certificate for 127.0.0.1, in one PEM file."""
    file = folder / "certificate.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=127.0.0.1"]
    command += ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(file), "-out", str(file)]
    subprocess.run(command, check=True, capture_output=True)
    return file
