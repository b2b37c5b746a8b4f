"""What starts by itself: how it ships, and when."""

import dagster as dg
import yaml

from marvel_assets.definitions import defs
from marvel_assets.defs.retraining_lock import POOL
from marvel_assets.paths import PROJECT_ROOT


def test_sensors_and_schedules_ship_switched_off():
    repository = defs.get_repository_def()
    for sensor in repository.sensor_defs:
        assert sensor.default_status == dg.DefaultSensorStatus.STOPPED, sensor.name
    for schedule in repository.schedule_defs:
        assert schedule.default_status == dg.DefaultScheduleStatus.STOPPED, schedule.name


def test_what_retrains_shares_a_pool_that_one_run_holds():
    # given
    settings = yaml.safe_load((PROJECT_ROOT / "config" / "dagster.yaml").read_text())

    # then
    assert settings["concurrency"]["pools"] == {"granularity": "run", "default_limit": 1}
    pooled = {node.name for node in defs.resolve_job_def("retrain").all_node_defs if POOL in node.pools}
    assert pooled == {
        "raw_characters",
        "characters",
        "fitted_pipeline",
        "basic_model",
        "basic_model_version",
        "custom_model_version",
    }
