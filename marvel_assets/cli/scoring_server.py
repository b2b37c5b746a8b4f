"""The HTTP server of ``marvel serve``: MLflow's, with a sentence instead of a stack trace in errors."""

from __future__ import annotations

import json
import sys
from http import HTTPStatus
from typing import TYPE_CHECKING

from marvel_assets.cli.servers import LOOPBACK

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from fastapi import FastAPI, Request
    from starlette.responses import Response, StreamingResponse

MAX_MESSAGE = 1000
"""In characters: MLflow repeats the whole body in an error if it can't be parsed."""


def application(model_files: str) -> FastAPI:
    """The routes of ``mlflow models serve`` for the model in a folder."""
    from fastapi.responses import JSONResponse
    from mlflow.pyfunc import scoring_server

    model = scoring_server.load_model_with_mlflow_config(model_files)  # type: ignore[no-untyped-call]
    app: FastAPI = scoring_server.init(model)

    @app.middleware("http")
    async def answer_errors_in_a_sentence(
        request: Request, forward: Callable[[Request], Awaitable[StreamingResponse]]
    ) -> Response:
        answer = await forward(request)
        if answer.status_code < HTTPStatus.BAD_REQUEST:
            return answer
        body = b"".join(
            [part.encode() if isinstance(part, str) else bytes(part) async for part in answer.body_iterator]
        )
        return JSONResponse({"message": reason_of(body.decode())[:MAX_MESSAGE]}, status_code=answer.status_code)

    return app


def reason_of(body: str) -> str:
    r"""The reason in an error of MLflow's server: the last line of its stack trace, or its message.

    >>> reason_of('{"message": "unexpected error", "stack_trace": "Traceback …\\nValueError: no column Gender"}')
    'ValueError: no column Gender'
    """
    try:
        content = json.loads(body)
        trace = content.get("stack_trace")
        return str(trace.strip().splitlines()[-1] if trace else content["message"])
    except (ValueError, KeyError, AttributeError):
        return body


if __name__ == "__main__":
    import uvicorn

    uvicorn.run(application(sys.argv[1]), host=LOOPBACK, port=int(sys.argv[2]))
