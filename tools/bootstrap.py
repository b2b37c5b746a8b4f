"""Make this checkout's virtual environment, with the standard library alone.

``python3 tools/bootstrap.py PROFILE COMMAND…`` installs what the profile needs at the versions that its constraints
file pins, then becomes the command, with ``MARVEL_PROFILE`` set. A second call with nothing changed is over at once.
What only the system can provide (an OpenMP runtime, Java for Spark, Chromium for the tests) is installed with apt on
Debian as root; elsewhere the missing packages are named.
"""

from __future__ import annotations

import ctypes
import fcntl
import hashlib
import importlib.util
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
from marvel_assets.utils.uv_settings import uv_settings  # noqa: E402 - found by the line before

if TYPE_CHECKING:
    from collections.abc import Callable

OLDEST, NEWEST = (3, 11), (3, 13)


class Environment(NamedTuple):
    """A virtual environment, the versions that it is held to, and the extras that a profile needs in it."""

    folder: str
    constraints: str
    extras: frozenset[str]
    oldest: tuple[int, int] = OLDEST

    @property
    def python(self) -> Path:
        """Its interpreter."""
        return ROOT / self.folder / "bin" / "python"

    @property
    def stamp(self) -> Path:
        """Tells what was installed."""
        return ROOT / self.folder / "installed.json"


DEVELOPMENT = "development"
PROFILES = {
    "embedded": Environment(".venv", "constraints.txt", frozenset({"pipeline"})),
    "spark": Environment(".venv", "constraints.txt", frozenset({"pipeline", "spark"})),
    "databricks": Environment(
        ".venv-databricks", "constraints-databricks.txt", frozenset({"pipeline", "databricks"}), oldest=(3, 12)
    ),
    DEVELOPMENT: Environment(".venv", "constraints.txt", frozenset({"pipeline", "spark", "distributed", "dev"})),
}


class SystemPart(NamedTuple):
    """Something that no Python package brings: how to see it, and who provides it."""

    what: str
    is_there: Callable[[], bool]
    debian_packages: tuple[str, ...]


def _loads(library: str) -> bool:
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


def _openmp_is_there() -> bool:
    if sys.platform == "darwin":
        return _loads("libomp.dylib") or Path("/opt/homebrew/opt/libomp").exists()
    return _loads("libgomp.so.1")


OPENMP = SystemPart("the OpenMP runtime that LightGBM loads", _openmp_is_there, ("libgomp1",))
ENSUREPIP = SystemPart(
    "Python's venv module",
    lambda: importlib.util.find_spec("ensurepip") is not None,
    ("python3-venv",),
)
JAVA = SystemPart(
    "a Java runtime (17 or newer) for Spark",
    lambda: shutil.which("java") is not None,
    ("default-jre-headless",),
)
CHROMIUM = SystemPart(
    "Chromium for the browser tests",
    lambda: any(shutil.which(name) for name in ("chromium", "chromium-browser", "google-chrome")),
    ("chromium", "fonts-dejavu-core"),
)
LIBATOMIC = SystemPart(
    "libatomic, which Playwright's driver loads",
    lambda: sys.platform == "darwin" or _loads("libatomic.so.1"),
    ("libatomic1",),
)
COMPILER = SystemPart(
    "a C compiler for the tests of a clock that jumps",
    lambda: sys.platform == "darwin" or shutil.which("cc") is not None,
    ("gcc", "libc6-dev"),
)
NEEDED_BY_EXTRA = {"spark": (JAVA,), "dev": (JAVA, CHROMIUM, LIBATOMIC, COMPILER)}


def main(profile: str = "embedded", *command: str) -> None:
    """Install what the profile needs, unless it is there already, then become the command."""
    if profile not in PROFILES:
        sys.exit(f"PROFILE is {profile!r}; choose {', '.join(name for name in PROFILES if name != DEVELOPMENT)}.")
    environment = PROFILES[profile]
    if not environment.oldest <= sys.version_info[:2] <= NEWEST:
        sys.exit(
            f"Python {sys.version.split()[0]} was found; the profile {profile} needs 3.{environment.oldest[1]} "
            f"to 3.{NEWEST[1]}. Install one of these and call: make PYTHON=python3.12 …"
        )
    needed = [part for extra in sorted(environment.extras) for part in NEEDED_BY_EXTRA.get(extra, ())]
    _provide_system_parts(list(dict.fromkeys([OPENMP, ENSUREPIP, *needed])))
    lock = os.open(ROOT, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        _say("Waiting: another make is setting up this folder")
        fcntl.flock(lock, fcntl.LOCK_EX)
    _provide_environment(environment)
    _point_dagster_at_the_home()
    if command:
        program = str(environment.python.with_name(command[0]))
        chosen = {} if profile == DEVELOPMENT else {"MARVEL_PROFILE": profile}
        os.execve(program, [program, *command[1:]], {**os.environ, **chosen})  # noqa: S606


def _provide_system_parts(parts: list[SystemPart]) -> None:
    missing = {part.what: part.debian_packages for part in parts if not part.is_there()}
    if not missing:
        return
    packages = sorted({package for needed in missing.values() for package in needed})
    apt = shutil.which("apt-get")
    if apt is None or os.geteuid() != 0:
        sys.exit(
            f"Missing on this machine: {'; '.join(missing)}. Install it with the system's package manager "
            f"(on Debian or Ubuntu: sudo apt-get install {' '.join(packages)}), then call make again."
        )
    _say(f"Installing {' '.join(packages)} with apt-get ({'; '.join(missing)})")
    noninteractive = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    _run([apt, "update", "-qq"], noninteractive)
    _run([apt, "install", "-y", "-qq", "--no-install-recommends", *packages], noninteractive)


def _provide_environment(environment: Environment) -> None:
    python, stamp, constraints = environment.python, environment.stamp, environment.constraints
    installed = json.loads(stamp.read_text()) if stamp.exists() else {}
    # Its programs name the folder that it was made in, so that a copy of it would run that folder's code.
    made_by = [sys.version, str(ROOT)]
    if installed.get("made_by") != made_by or not python.exists():
        _say(f"Making {environment.folder} with Python {sys.version.split()[0]}")
        _run([sys.executable, "-m", "venv", "--clear", str(ROOT / environment.folder)])
        pip = [str(python), "-m", "pip", "install", "-qq", "--retries", "1", "--no-cache-dir"]
        _run([*pip, "--constraint", constraints, "uv"])
        installed = {"extras": []}
    wanted = hashlib.sha256(b"".join((ROOT / name).read_bytes() for name in ("pyproject.toml", constraints)))
    if installed.get("digest") == wanted.hexdigest() and environment.extras <= set(installed["extras"]):
        return
    every_extra = sorted(environment.extras | set(installed["extras"]))
    project = f".[{','.join(every_extra)}]"
    _say(f"Installing marvel-assets{project[1:]} at the versions of {constraints} (a minute, once)")
    install = [str(python.with_name("uv")), "pip", "install", "--quiet", "--compile-bytecode", "--python", str(python)]
    settings = {**os.environ, **uv_settings(python, ROOT / ".cache" / "uv")}
    _run([*install, "--constraint", constraints, "--editable", project], settings)
    stamp.write_text(json.dumps({"made_by": made_by, "digest": wanted.hexdigest(), "extras": every_extra}, indent=2))


def _point_dagster_at_the_home() -> None:
    """Keep a line in ``.env``, which every dagster command reads from its folder before it looks for its instance.

    What the line points to by default is a part of this folder, and is made with it.
    """
    file, variable = ROOT / ".env", "DAGSTER_HOME="
    before = file.read_text() if file.exists() else ""
    kept = [line for line in before.splitlines() if not line.startswith(variable)]
    after = "".join(f"{line}\n" for line in [*kept, f"{variable}${{MARVEL_HOME:-{ROOT / '.marvel'}}}/dagster"])
    if after != before:
        file.write_text(after)
    instance = ROOT / ".marvel" / "dagster" / "dagster.yaml"
    if not os.environ.get("MARVEL_HOME") and not instance.exists():
        # Dagster's own commands don't make the folder; a home elsewhere is made by those who use it.
        instance.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / "config" / "dagster.yaml", instance)


def _run(command: list[str], environment: dict[str, str] | None = None) -> None:
    # In a session of its own Ctrl+C does not reach it, and it prints no trace of being interrupted.
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        env=environment,
        start_new_session=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        printed, _ = process.communicate()
    except KeyboardInterrupt:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait()
        raise
    if process.returncode != 0:
        sys.exit(
            f"{_what_failed(printed)}\nThis command failed with exit code {process.returncode}: {' '.join(command)}\n"
            "Call make again when that is mended: what was done is kept."
        )


def _what_failed(printed: str) -> str:
    """The output of a command that failed; where pip could not reach its index, that instead of what it made of it."""
    broken = re.findall(r"after connection broken by '(.*)': \S+", printed)
    if not broken:
        return printed.strip()
    reason = broken[-1].rpartition(">: ")[2].rstrip("')\"")
    return (
        f"The package index can't be reached ({reason}). Packages come from the network: connect this machine, or name "
        "an index or a proxy that it reaches, in pip's configuration or by PIP_INDEX_URL and PIP_PROXY."
    )


def _say(text: str) -> None:
    print(f"* {text}", flush=True)


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except KeyboardInterrupt:
        sys.exit("Interrupted; call make again, what was done is kept.")
    except OSError as error:
        sys.exit(f"{ROOT} can't be set up: {error}")
