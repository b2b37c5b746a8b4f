"""What a run tells at the command line: one short line for each thing that a person waits for."""

import logging
import re
import sys

import dagster as dg

SELF_EXPLAINING = re.compile(r"^(dagster\._core\.definitions\.events\.Failure|marvel_assets\.[\w.]+Error): ")
"""Errors whose text is a sentence of its own, without the class before it."""


class _Brief(logging.Formatter):
    """Time, step and message; of a failure, the chain of causes without their traces."""

    def format(self, record: logging.LogRecord) -> str:
        told = getattr(record, "dagster_meta", {})
        event = told.get("dagster_event")
        step = told.get("step_key") or "run"
        message = told.get("orig_message") or record.getMessage()
        if event is not None and event.is_step_failure:
            message = f"failed: {_causes(event.step_failure_data.error)}"
        return f"{self.formatTime(record, '%H:%M:%S')}  {step:<24} {message}"


def _causes(error: object) -> str:
    """The innermost cause is what the asset raised; what is around it is Dagster's account of where."""
    while getattr(error, "cause", None) is not None:
        error = error.cause  # type: ignore[attr-defined]
    return SELF_EXPLAINING.sub("", str(getattr(error, "message", error)).strip())


def _is_worth_a_line(record: logging.LogRecord) -> bool:
    """What a step logs, and its failure; not that other steps could not start because of it."""
    told = getattr(record, "dagster_meta", {})
    event = told.get("dagster_event")
    if event is not None:
        return bool(event.is_step_failure)
    return not str(told.get("orig_message", "")).startswith("Dependencies for step")


def _console(_: dg.InitLoggerContext) -> logging.Logger:
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(_Brief())
    handler.addFilter(_is_worth_a_line)
    logger = logging.Logger("brief", level=logging.INFO)  # noqa: LOG001
    logger.addHandler(handler)
    return logger


brief_console = dg.LoggerDefinition(
    _console,
    description="One short line for each thing that a person waits for; Dagster's pages have the whole story.",
)
