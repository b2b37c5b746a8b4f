"""A sensor that ticks on demand, over an instance with runs on record that never ran."""

from collections.abc import Callable
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.events import StepMaterializationData
from dagster._core.test_utils import create_run_for_test

from marvel_assets.defs.ingestion.assets import SOURCE_FINGERPRINT
from marvel_assets.defs.resources import Project
from marvel_assets.sources.resource import SourceResource


class SensorTicks:
    """The ticks of a sensor, as the daemon would evaluate them."""

    def __init__(
        self, sensor: dg.SensorDefinition, project: Path, folder: Path, instance: dg.DagsterInstance | None = None
    ) -> None:
        self.sensor, self.instance, self.cursor = sensor, instance or dg.DagsterInstance.ephemeral(), None
        self.project = Project(config_path=str(project))
        self.sources = SourceResource(scratch=str(folder / "scratch"), last_read=str(folder / "source.json"))

    def tick(self) -> dg.SensorResult:
        resources = {"project": self.project, "sources": self.sources}
        result = self.sensor(dg.build_sensor_context(self.instance, cursor=self.cursor, resources=resources))
        if isinstance(result, dg.SkipReason):
            return dg.SensorResult(skip_reason=result)
        self.cursor = result.cursor
        return result

    def skips(self) -> str:
        """Why a tick requests no run; '' if it requests one."""
        result = self.tick()
        return "" if result.run_requests else str(result.skip_reason.skip_message)

    def record_run(
        self, *made: str, fingerprint: str | None = "", status: dg.DagsterRunStatus = dg.DagsterRunStatus.SUCCESS
    ) -> dg.DagsterRun:
        """A run that made these assets and read version 0 of the source, as it looks now; or with None, no source."""
        run = create_run_for_test(self.instance, job_name="retrain", status=status)
        look = self.sources.fingerprint(None, self.project.config) if fingerprint == "" else fingerprint
        read = {SOURCE_FINGERPRINT: look, "delta_version": 0}
        raw = [dg.AssetMaterialization("raw_characters", metadata=read)] if look else []
        for materialization in (*raw, *map(dg.AssetMaterialization, made)):
            data = StepMaterializationData(materialization)
            event = dg.DagsterEvent("ASSET_MATERIALIZATION", "retrain", event_specific_data=data)
            self.instance.report_dagster_event(event, run_id=run.run_id)
        return run


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file that MARVEL_SOURCE names."""
    file = tmp_path / "characters.csv"
    file.write_text("PageID\n1\n")
    monkeypatch.setenv("MARVEL_SOURCE", str(file))
    return file


@pytest.fixture
def ticks_of(small_project: Path, tmp_path: Path) -> Callable[[dg.SensorDefinition], SensorTicks]:
    return lambda sensor: SensorTicks(sensor, small_project, tmp_path)
