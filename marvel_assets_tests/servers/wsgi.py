"""A Flask application on loopback, served by threads of this process."""

import logging
from threading import Thread
from typing import Any, Self

from flask import Flask
from werkzeug.serving import make_server

HOST = "127.0.0.1"


class Refusal(Exception):  # noqa: N818 - an answer of the server, not an error in it
    """A request answered with an error."""

    def __init__(self, status: int, code: str, message: str, **more: Any) -> None:
        super().__init__(message)
        self.status, self.body = status, {"error_code": code, "message": message, **more}


class FlaskServer:
    """The application ``app``, at ``url`` within a ``with`` block."""

    def __init__(self) -> None:
        self.url, self.app = "", Flask(__name__)
        self.app.register_error_handler(Refusal, lambda refusal: (refusal.body, refusal.status))

    def __enter__(self) -> Self:
        logging.getLogger("werkzeug").setLevel(logging.ERROR)
        self._server = make_server(HOST, 0, self.app, threaded=True)
        self._thread = Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self._thread.start()
        self.url = f"http://{HOST}:{self._server.server_port}"
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
