"""Loaded when Python starts with this folder on PYTHONPATH: counts a run's lasting writes, and kills it at one of them.

The variable ``KILLER`` holds JSON: ``{"record": file}`` writes down each boundary that is passed, and a Moment of
runs.py ends this process there by SIGKILL: before the action, after it, or ``seconds`` after its beginning.

A boundary is a write that lasts: a Delta commit, a change in MLflow's store, a commit of a database (Dagster writes its
events to one), a file that is moved into place or opened for writing. Children of this process are left alone.
"""

import functools
import json
import os
import re
import signal
import sys
import threading
from collections import Counter
from pathlib import Path

PLAN = json.loads(os.environ.pop("KILLER", "{}"))
HOME = os.environ.get("MARVEL_HOME", "")
RANDOM = re.compile(r"\.[0-9a-z_]{8}(?=/|$)|(?<=-)[0-9a-z_]{8}(?=/|$|\.)|[0-9a-f-]{32,}|m-\*|[0-9a-f]{16}")
WRITES = os.O_WRONLY | os.O_RDWR
CHANGES = ("create_", "log_", "set_", "update_", "delete_", "finalize_", "record_")

passed = Counter()
inside = threading.local()


def die():
    os.kill(os.getpid(), signal.SIGKILL)


def at(boundary, action):
    """Perform the action, or die before, within or after it. Boundaries inside the action are a part of it."""
    if boundary is None or getattr(inside, "a_boundary", False):
        return action()
    inside.a_boundary = True
    try:
        passed[boundary] += 1
        if "record" in PLAN:
            with Path(PLAN["record"]).open("a") as file:
                file.write(f"{boundary}\n")
        is_chosen = (boundary, passed[boundary]) == (PLAN.get("boundary"), PLAN.get("occurrence"))
        when = PLAN["when"] if is_chosen else ""
        if when == "before":
            die()
        if when == "within":
            threading.Timer(PLAN["seconds"], die).start()
        result = action()
        if when == "after":
            die()
        return result
    finally:
        inside.a_boundary = False


def bound(owner, attribute, name_of):
    """Put a boundary around a function; ``name_of`` its arguments is None if a call writes nothing that lasts."""
    function = getattr(owner, attribute)

    @functools.wraps(function)
    def call(*arguments, **keywords):
        return at(name_of(*arguments, **keywords), lambda: function(*arguments, **keywords))

    setattr(owner, attribute, call)


def in_home(verb, path):
    """A boundary's name with a path in the home, without what is random in it; None for other paths."""
    text = os.fsdecode(path) if isinstance(path, (str, bytes, os.PathLike)) else ""
    if not HOME or not text.startswith(f"{HOME}/") or "/locks/" in text or "/compute_logs/" in text:
        return None
    return f"{verb} {RANDOM.sub('*', text.removeprefix(f'{HOME}/'))}"


def opened(event, arguments):
    """A file that is opened for writing. An audit hook does not see its end: there is no 'after'."""
    if event == "open" and not getattr(inside, "a_boundary", False):
        path, _, flags = arguments
        at(in_home("open", path) if isinstance(flags, int) and flags & WRITES else None, lambda: None)


def database_of(_, connection):
    driver = getattr(connection, "driver_connection", connection)
    # SQLite's driver opens a transaction for changes alone.
    return in_home("commit", driver.execute("PRAGMA database_list").fetchone()[2]) if driver.in_transaction else None


def install():
    """Put a boundary around each function that writes for good."""
    import deltalake
    from mlflow.store.model_registry.sqlalchemy_store import SqlAlchemyStore as Registry
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore as Tracking
    from sqlalchemy.engine.default import DefaultDialect

    bound(deltalake, "write_deltalake", lambda location, *_, **__: f"delta {Path(location).name}")
    for store in (Registry, Tracking):
        for name in [name for name in vars(store) if name.startswith(CHANGES)]:
            bound(store, name, lambda *_, name=name, **__: f"mlflow {name}")
    bound(DefaultDialect, "do_commit", database_of)
    if os.environ.get("MARVEL_PROFILE") == "spark":
        from pyspark.sql.readwriter import DataFrameWriter

        bound(DataFrameWriter, "save", lambda _, path, *__, **___: f"delta {Path(path).name}")
    sys.addaudithook(opened)
    for verb in ("replace", "rename", "link"):
        bound(os, verb, lambda _, target, *__, verb=verb, **___: in_home(verb, target))


if PLAN:
    install()
