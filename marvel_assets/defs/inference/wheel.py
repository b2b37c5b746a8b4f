"""The wheel that scoring environments install: only ``marvel_assets.model``, which is all that a prediction needs."""

import hashlib
import json
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import dagster as dg
from pydantic import Field

from marvel_assets.paths import PROJECT_ROOT
from marvel_assets.storage.references import WheelRef
from marvel_assets.utils.files import temporary_folder


class WheelBuilder(dg.ConfigurableResource):  # type: ignore[type-arg]
    """Builds the wheel once per content, whose hash is in its name: MLflow reuses environments by requirements."""

    folder: str = Field(description="Folder of the wheels.")

    def wheel(self) -> WheelRef:
        """The wheel of the current sources, built if it does not exist yet."""
        declared = tomllib.loads((PROJECT_ROOT / "pyproject.toml").read_text(encoding="utf-8"))
        version, package = declared["project"]["version"], PROJECT_ROOT / "marvel_assets"
        sources = sorted([package / "__init__.py", package / "py.typed", *(package / "model").rglob("*.py")])
        digest = hashlib.sha256(_pyproject(declared, version).encode())
        for file in sources:
            digest.update(f"\0{file.relative_to(PROJECT_ROOT)}\0".encode() + file.read_bytes())
        content = digest.hexdigest()[:16]
        full_version = f"{version}+h{content}"  # a letter first: digits alone would be normalised as a number
        wheel = Path(self.folder, f"marvel_assets-{full_version}-py3-none-any.whl")
        if not wheel.exists():
            _build(_pyproject(declared, full_version), sources, wheel)
        return WheelRef(wheel.name, content)

    def file_of(self, wheel: WheelRef) -> Path:
        """The wheel's file in this home, which may have been moved since the wheel was built."""
        return Path(self.folder, wheel.path)


def _build(pyproject: str, sources: list[Path], wheel: Path) -> None:
    with temporary_folder(wheel.parent) as tree:
        for file in sources:
            target = tree / "src" / file.relative_to(PROJECT_ROOT)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, target)
        (tree / "pyproject.toml").write_text(pyproject, encoding="utf-8")
        command = [sys.executable, "-m", "uv", "build", "--wheel", "--offline", "--no-cache", "--out-dir", "out"]
        done = subprocess.run(command, cwd=tree, capture_output=True, text=True, check=False, timeout=120)  # noqa: S603
        if done.returncode != 0:
            raise dg.Failure(f"uv build failed for {wheel.name}: {done.stderr.strip()}")
        (tree / "out" / wheel.name).replace(wheel)


def _pyproject(declared: dict[str, Any], version: str) -> str:
    """The wheel's project file: what this project declares, without extras and commands."""
    project = {key: declared["project"][key] for key in ("name", "requires-python", "dependencies")}
    tables = {"project": {**project, "version": version}, "build-system": declared["build-system"]}
    tables["tool.uv.build-backend"] = {"module-name": "marvel_assets"}
    lines: list[str] = []
    for name, table in tables.items():  # strings and lists of strings are the same in JSON and TOML
        lines += [f"[{name}]", *(f"{key} = {json.dumps(value)}" for key, value in table.items())]
    return "\n".join(lines) + "\n"
