"""The run's log at the command line: short lines without Dagster's events."""

import logging
import sys

import dagster as dg

from marvel_assets.defs.alerts import cause_of


class _Brief(logging.Formatter):
    """Time, step and message; for a failure, its cause without a stack trace."""

    def format(self, record: logging.LogRecord) -> str:
        metadata = getattr(record, "dagster_meta", {})
        event = metadata.get("dagster_event")
        step = metadata.get("step_key") or "run"
        message = metadata.get("orig_message") or record.getMessage()
        if event is not None and event.is_step_failure:
            message = f"failed: {cause_of(event.step_failure_data.error)}"
        return f"{self.formatTime(record, '%H:%M:%S')}  {step:<24} {message}"


def _is_worth_a_line(record: logging.LogRecord) -> bool:
    """Whether a record is a step's message or failure; steps that a failure prevented are left out."""
    metadata = getattr(record, "dagster_meta", {})
    event = metadata.get("dagster_event")
    if event is not None:
        return bool(event.is_step_failure)
    return not str(metadata.get("orig_message", "")).startswith("Dependencies for step")


def _console(_: dg.InitLoggerContext) -> logging.Logger:
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(_Brief())
    handler.addFilter(_is_worth_a_line)
    logger = logging.Logger("brief", level=logging.INFO)  # noqa: LOG001
    logger.addHandler(handler)
    return logger


brief_console = dg.LoggerDefinition(
    _console,
    description="Short lines for the command line; Dagster's pages have the full log.",
)
