"""Web servers on this machine that answer as a test says, and remember what they were asked."""

import ssl
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
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


@dataclass
class Served:
    """A server at work."""

    url: str
    port: int
    asked: list[str] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)


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

        def log_message(self, *_: object) -> None:
            """Nothing is to be printed."""

    class Server(ThreadingHTTPServer):
        address_family = AF_INET6 if ":" in host else AF_INET
        daemon_threads = True
        block_on_close = False

        def handle_error(self, *_: object) -> None:
            """A connection that is closed before anything is asked is none of the server's errors."""

    with Server((host, 0), Handler) as listening:
        scheme = "http"
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            listening.socket = context.wrap_socket(listening.socket, server_side=True)
            scheme = "https"
        at = listening.server_port
        served = Served(f"{scheme}://{f'[{host}]' if ':' in host else host}:{at}", at)
        thread = Thread(target=listening.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield served
        finally:
            listening.shutdown()
            thread.join()


def own_certificate(folder: Path, host: str = "127.0.0.1") -> Path:
    """A key and a certificate for it that nobody but the test trusts, in one PEM file."""
    from datetime import UTC, datetime, timedelta
    from ipaddress import ip_address

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address(host))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    file = folder / "certificate.pem"
    file.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + certificate.public_bytes(serialization.Encoding.PEM)
    )
    return file
