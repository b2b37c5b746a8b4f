"""Loaded by Python's own start where this folder is on PYTHONPATH: counts what a run does for good, and dies at it.

The variable ``KILLER`` says what to do, as JSON: ``{"record": file}`` writes down each boundary that is passed, and
``{"boundary": name, "occurrence": n, "when": "before" or "after" or "within", "seconds": s}`` ends this process there
by SIGKILL: before the action, after it, or so many seconds after its beginning, whatever goes on then.

A boundary is a write that lasts: a Delta commit, a change in MLflow's store, a commit of a database, a file that is
moved into place or opened for writing, an event of Dagster's. Its name begins with the step in which it happens.
Children of this process are left alone.
"""

import functools
import json
import os
import re
import signal
import sys
import threading
import time
from collections import Counter
from pathlib import Path

PLAN = json.loads(os.environ.pop("KILLER", "{}"))
HOME = os.environ.get("MARVEL_HOME", "")
RANDOM = re.compile(r"\.[0-9a-z_]{8}(?=/|$)|(?<=-)[0-9a-z_]{8}(?=/|$|\.)|[0-9a-f-]{32,}|m-\*|[0-9a-f]{16}")
WRITES = os.O_WRONLY | os.O_RDWR
CHANGES = ("create_", "log_", "set_", "update_", "delete_", "finalize_", "record_")
EVENTS = {"PIPELINE_START", "STEP_START", "ASSET_MATERIALIZATION", "STEP_SUCCESS", "PIPELINE_SUCCESS"}

seen = Counter()
step = "start"
inside = threading.local()


def die():
    os.kill(os.getpid(), signal.SIGKILL)


def die_later():
    time.sleep(PLAN["seconds"])
    die()


def passes(name):
    """Count a boundary, and return whether this process ends at it."""
    boundary = f"{step}: {name}"
    seen[boundary] += 1
    if "record" in PLAN:
        with Path(PLAN["record"]).open("a") as file:
            file.write(f"{boundary}\n")
    return boundary == PLAN.get("boundary") and seen[boundary] == PLAN["occurrence"]


def at(name, action):
    """Do what lasts, or die before, within or after it. What it does inside is a part of it."""
    if getattr(inside, "a_boundary", False):
        return action()
    inside.a_boundary = True
    try:
        is_the_end = passes(name)
        if is_the_end and PLAN["when"] == "before":
            die()
        if is_the_end and PLAN["when"] == "within":
            threading.Thread(target=die_later, daemon=True).start()
        result = action()
        if is_the_end and PLAN["when"] == "after":
            die()
        return result
    finally:
        inside.a_boundary = False


def bounded(function, name_of):
    @functools.wraps(function)
    def call(*arguments, **keywords):
        name = name_of(*arguments, **keywords)
        if name is None:
            return function(*arguments, **keywords)
        return at(name, lambda: function(*arguments, **keywords))

    return call


def in_home(path):
    """A path within the home without what is random in it, else nothing."""
    text = os.fsdecode(path) if isinstance(path, (str, bytes, os.PathLike)) else ""
    if not HOME or not text.startswith(f"{HOME}/") or "/locks/" in text or "/compute_logs/" in text:
        return None
    return RANDOM.sub("*", text.removeprefix(f"{HOME}/"))


def named_move(verb):
    def name_of(_, target, *__, **___):
        where = in_home(target)
        return where and f"{verb} {where}"

    return name_of


def opened(event, arguments):
    """A file that is opened for writing. An audit hook does not see its end: there is no 'after'."""
    if event != "open" or getattr(inside, "a_boundary", False):
        return
    path, _, flags = arguments
    where = in_home(path) if isinstance(flags, int) and flags & WRITES else None
    if where is not None:
        at(f"open {where}", lambda: None)


def named(name):
    return lambda *_, **__: name


def database_of(_, connection):
    driver = getattr(connection, "driver_connection", connection)
    if not driver.in_transaction:  # nothing but reads: SQLite's driver opens a transaction for changes alone
        return None
    where = in_home(driver.execute("PRAGMA database_list").fetchone()[2])
    return where and f"commit {where}"


def event_of(_, entry, *__, **___):
    global step  # noqa: PLW0603
    event = entry.dagster_event
    if event is None or event.event_type_value not in EVENTS:
        return None
    if event.event_type_value == "STEP_START":
        step = event.step_key
    return f"event {event.event_type_value}"


def install():
    """Put a boundary around each function that writes for good."""
    import deltalake
    from dagster._core.storage.event_log.sqlite.sqlite_event_log import SqliteEventLogStorage
    from mlflow.store.model_registry.sqlalchemy_store import SqlAlchemyStore as Registry
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore as Tracking
    from sqlalchemy.engine.default import DefaultDialect

    deltalake.write_deltalake = bounded(
        deltalake.write_deltalake, lambda location, *_, **__: f"delta {Path(location).name}"
    )
    for store in (Registry, Tracking):
        for name in [name for name in vars(store) if name.startswith(CHANGES)]:
            setattr(store, name, bounded(vars(store)[name], named(f"mlflow {name}")))
    DefaultDialect.do_commit = bounded(DefaultDialect.do_commit, database_of)
    SqliteEventLogStorage.store_event = bounded(SqliteEventLogStorage.store_event, event_of)
    if os.environ.get("MARVEL_PROFILE") == "spark":
        from pyspark.sql.readwriter import DataFrameWriter

        DataFrameWriter.save = bounded(DataFrameWriter.save, lambda _, path, *__, **___: f"delta {Path(path).name}")
    sys.addaudithook(opened)
    for verb in ("replace", "rename", "link"):
        setattr(os, verb, bounded(getattr(os, verb), named_move(verb)))


if PLAN:
    install()
