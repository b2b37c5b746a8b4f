"""MLflow's scoring server for one model, with answers that a caller can use where MLflow's own are a trace or a 500."""

from __future__ import annotations

import json
import sys
from http import HTTPStatus
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from fastapi import FastAPI, Request, Response
    from fastapi.responses import StreamingResponse
    from starlette.datastructures import Headers

HOST = "127.0.0.1"
LARGEST_BODY = 100_000_000
"""Bytes of one request; MLflow holds it in memory several times over."""

MEDIA_TYPE = "application/json"
"""The one that is taken: two kilobytes of Parquet can hold gigabytes."""

LONGEST_MESSAGE = 1000
LONGEST_INTRODUCTION = 200
"""Letters before the reason in a message that does not repeat what was sent."""


def application(model_files: str) -> FastAPI:
    """The server's routes, as ``mlflow models serve`` has them."""
    from mlflow.pyfunc import scoring_server

    model = scoring_server.load_model_with_mlflow_config(model_files)  # type: ignore[no-untyped-call]
    app: FastAPI = scoring_server.init(model)

    @app.middleware("http")
    async def answer_errors_in_a_sentence(
        request: Request, forward: Callable[[Request], Awaitable[StreamingResponse]]
    ) -> Response:
        if request.method == "POST" and (refused := _refused(request.headers)):
            return refused
        try:
            answer = await forward(request)
        except (RecursionError, ValueError) as error:
            # MLflow's reader of JSON lets them through: nested too deeply, or a number of thousands of digits.
            return _problem(HTTPStatus.BAD_REQUEST, f"The body can't be read as JSON: {error}")
        if answer.status_code < HTTPStatus.BAD_REQUEST:
            return answer
        body = b"".join(
            [part.encode() if isinstance(part, str) else bytes(part) async for part in answer.body_iterator]
        )
        return _problem(HTTPStatus(answer.status_code), _sentence(body))

    return app


def main() -> None:
    """Serve the model in a folder, at a port of this machine, until the process is ended."""
    import uvicorn

    folder, port = sys.argv[1:]
    uvicorn.run(application(folder), host=HOST, port=int(port))


def _refused(headers: Headers) -> Response | None:
    media_type, length = headers.get("content-type", ""), headers.get("content-length")
    if length is None or not length.isdecimal():
        return _problem(HTTPStatus.LENGTH_REQUIRED, "The request needs a Content-Length header.")
    if int(length) > LARGEST_BODY:
        message = f"The body has {int(length):,} bytes; at most {LARGEST_BODY:,} are accepted: send several requests."
        return _problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, message)
    if media_type.partition(";")[0].strip().lower() != MEDIA_TYPE:
        message = f"The Content-Type is {media_type[:100]!r}; expected {MEDIA_TYPE}: send the characters as JSON."
        return _problem(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, message)
    return None


def _problem(status: HTTPStatus, message: str) -> Response:
    from fastapi.responses import JSONResponse

    # MLflow repeats the whole body where it can't be read.
    return JSONResponse({"error_code": status.name, "message": message[:LONGEST_MESSAGE]}, status_code=status)


def _sentence(body: bytes) -> str:
    """What an answer of MLflow's says is wrong: the last line of the trace that it sends along, or its message.

    A message may first repeat what was sent, as long as that is; what is wrong with it follows the last "Error:".
    """
    text = body.decode(errors="replace")
    try:
        content = json.loads(text)
    except ValueError:
        return text
    if not isinstance(content, dict):
        return text
    if trace := str(content.get("stack_trace", "")).strip():
        return trace.splitlines()[-1]
    message = str(content.get("message") or content.get("detail") or text)
    before, _, reason = message.rpartition("Error: ")
    return reason if len(before) > LONGEST_INTRODUCTION else message


if __name__ == "__main__":
    main()
