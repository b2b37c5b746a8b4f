"""Make this checkout's virtual environment, with only the standard library.

``python3 tools/bootstrap.py PROFILE COMMAND…`` installs what the profile needs at the versions that its constraints
file pins, then becomes the command, with ``MARVEL_PROFILE`` set. What only the system can provide is named, and
installed with apt if ``MARVEL_INSTALL=1`` or ``CI`` is set.
"""

from __future__ import annotations

import ctypes
import fcntl
import hashlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
from marvel_assets.utils.uv_settings import uv_settings  # noqa: E402 - found by the line before

NEWEST = (3, 13)
NO_INDEX = (
    "The package index can't be reached: connect this machine, or set an index or a proxy that it can reach, in pip's "
    "configuration or with PIP_INDEX_URL and PIP_PROXY.\n"
)


class Environment(NamedTuple):
    """A virtual environment: the extras that a profile needs in it, its folder, the file that pins its versions."""

    extras: frozenset[str]
    folder: str = ".venv"
    constraints: str = "constraints.txt"
    oldest: tuple[int, int] = (3, 11)


DEVELOPMENT = "development"
PROFILES = {
    "embedded": Environment(frozenset({"pipeline"})),
    "spark": Environment(frozenset({"pipeline", "spark"})),
    "databricks": Environment(
        frozenset({"pipeline", "databricks"}), ".venv-databricks", "constraints-databricks.txt", oldest=(3, 12)
    ),
    DEVELOPMENT: Environment(frozenset({"pipeline", "spark", "distributed", "dev"})),
}


def main(profile: str = "embedded", *command: str) -> None:
    """Install what the profile needs, unless it is installed already, then become the command."""
    if profile not in PROFILES:
        sys.exit(f"PROFILE is {profile!r}; choose {', '.join(name for name in PROFILES if name != DEVELOPMENT)}.")
    environment = PROFILES[profile]
    if not environment.oldest <= sys.version_info[:2] <= NEWEST:
        sys.exit(
            f"Python {sys.version.split()[0]} was found; the profile {profile} needs 3.{environment.oldest[1]} "
            f"to 3.{NEWEST[1]}. Install one of these and run: make PYTHON=python3.12 …"
        )
    if missing := missing_system_parts(environment.extras):
        install_system_parts(missing)
    fcntl.flock(os.open(ROOT, os.O_RDONLY), fcntl.LOCK_EX)  # another make may be setting up this folder
    install_environment(environment)
    write_env_file()
    if command:
        program = str(ROOT / environment.folder / "bin" / command[0])
        chosen = {} if profile == DEVELOPMENT else {"MARVEL_PROFILE": profile}
        os.execve(program, [program, *command[1:]], {**os.environ, **chosen})  # noqa: S606


def missing_system_parts(extras: frozenset[str]) -> dict[str, str]:
    """What this machine lacks and no Python package provides, each with its Debian packages."""
    is_mac = sys.platform == "darwin"
    openmp = _loads("libomp.dylib") or Path("/opt/homebrew/opt/libomp").exists() if is_mac else _loads("libgomp.so.1")
    browsers = ("chromium", "chromium-browser", "google-chrome")
    parts: list[tuple[str, str, bool]] = [
        ("the OpenMP runtime that LightGBM loads", "libgomp1", openmp),
        ("Python's venv module", "python3-venv", importlib.util.find_spec("ensurepip") is not None),
    ]
    if extras & {"spark", "dev"}:
        parts += [("a Java runtime (17 or newer) for Spark", "default-jre-headless", shutil.which("java") is not None)]
    if "dev" in extras:
        parts += [
            ("Chromium for the browser tests", "chromium fonts-dejavu-core", any(map(shutil.which, browsers))),
            ("libatomic, which Playwright's driver loads", "libatomic1", is_mac or _loads("libatomic.so.1")),
        ]
    return {what: packages for what, packages, is_there in parts if not is_there}


def install_system_parts(missing: dict[str, str]) -> None:
    """Install them with apt if that is allowed, else end with what to install."""
    packages = " ".join(sorted(missing.values()))
    is_asked_for = os.environ.get("MARVEL_INSTALL") == "1" or os.environ.get("CI")
    if not (is_asked_for and shutil.which("apt-get") and os.geteuid() == 0):
        sys.exit(
            f"Missing on this machine: {'; '.join(missing)}. Install it with the system's package manager (on Debian "
            f"or Ubuntu: sudo apt-get install {packages}), then run make again. As root on Debian, MARVEL_INSTALL=1 "
            "make … installs it."
        )
    print(f"* Installing {packages} with apt-get ({'; '.join(missing)})", flush=True)
    noninteractive = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    run(["apt-get", "update", "-qq"], noninteractive)
    run(["apt-get", "install", "-y", "-qq", "--no-install-recommends", *packages.split()], noninteractive)


def install_environment(environment: Environment) -> None:
    """Create or update the virtual environment."""
    folder, constraints = ROOT / environment.folder, environment.constraints
    python, stamp = folder / "bin" / "python", folder / "installed.json"
    installed = json.loads(stamp.read_text()) if stamp.exists() else {}
    # Its programs contain the path of their folder: a copy of it would run the original's code.
    made_by = [sys.version, str(ROOT)]
    if installed.get("made_by") != made_by or not python.exists():
        print(f"* Making {environment.folder} with Python {sys.version.split()[0]}", flush=True)
        run([sys.executable, "-m", "venv", "--clear", str(folder)])
        pip = [str(python), "-m", "pip", "install", "-qq", "--retries", "1", "--no-cache-dir"]
        run([*pip, "--constraint", constraints, "uv"])
        installed = {"extras": []}
    requirements = (ROOT / "pyproject.toml").read_bytes() + (ROOT / constraints).read_bytes()
    digest = hashlib.sha256(requirements).hexdigest()
    if installed.get("digest") == digest and environment.extras <= set(installed["extras"]):
        return
    extras = sorted(environment.extras | set(installed["extras"]))
    project = f"[{','.join(extras)}]"
    print(f"* Installing marvel-assets{project} at the versions of {constraints} (a minute, once)", flush=True)
    uv = [str(folder / "bin" / "uv"), "pip", "install", "--quiet", "--compile-bytecode", "--python", str(python)]
    settings = {**os.environ, **uv_settings(python, ROOT / ".cache" / "uv")}
    run([*uv, "--constraint", constraints, "--editable", f".{project}"], settings)
    stamp.write_text(json.dumps({"made_by": made_by, "digest": digest, "extras": extras}, indent=2))


def write_env_file() -> None:
    """Set DAGSTER_HOME in ``.env``, which every dagster command reads from its folder; create the default one."""
    file, home = ROOT / ".env", ROOT / ".marvel"
    before = file.read_text() if file.exists() else ""
    kept = [line for line in before.splitlines() if not line.startswith("DAGSTER_HOME=")]
    after = "".join(f"{line}\n" for line in [*kept, f"DAGSTER_HOME=${{MARVEL_HOME:-{home}}}/dagster"])
    if after != before:
        file.write_text(after)
    instance = home / "dagster" / "dagster.yaml"
    if not os.environ.get("MARVEL_HOME") and not instance.exists():
        # Dagster's commands don't create the folder; this project's commands create a home elsewhere.
        instance.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / "config" / "dagster.yaml", instance)


def run(command: list[str], environment: dict[str, str] | None = None) -> None:
    """Run a command and hide its output, unless it fails, which ends this program; Ctrl+C ends both."""
    # In a new session Ctrl+C does not reach it, so that it prints no stack trace.
    done = subprocess.run(
        command, cwd=ROOT, env=environment, start_new_session=True, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        printed = (done.stdout + done.stderr).strip()
        sys.exit(
            f"{printed}\n{NO_INDEX if 'connection broken by' in printed else ''}This command failed with exit code "
            f"{done.returncode}: {' '.join(command)}\nRun make again when that is fixed; finished work is kept."
        )


def _loads(library: str) -> bool:
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except KeyboardInterrupt:
        sys.exit("Interrupted; run make again, finished work is kept.")
    except OSError as error:
        sys.exit(f"{ROOT} can't be set up: {error}")
