"""The system: what exists, and with which resources."""

import dagster as dg

from marvel_assets.defs.executor import watched_in_process_executor
from marvel_assets.defs.inference.assets import custom_model_version, inference_wheel
from marvel_assets.defs.inference.predictions import survival_predictions
from marvel_assets.defs.ingestion.assets import characters, raw_characters
from marvel_assets.defs.ingestion.checks import (
    raw_numbers_are_readable,
    test_set_keeps_the_contract,
    train_set_keeps_the_contract,
)
from marvel_assets.defs.ingestion.sensors import source_change_sensor
from marvel_assets.defs.jobs import approve, promote, retrain, rollback, score, tune, verify_scoring_environment
from marvel_assets.defs.logger import brief_console
from marvel_assets.defs.monitoring.assets import drift_report
from marvel_assets.defs.monitoring.run_failures import run_failure_alert
from marvel_assets.defs.monitoring.sensors import drift_sensor
from marvel_assets.defs.registration.assets import basic_model_version
from marvel_assets.defs.registration.sensors import aliases_agree
from marvel_assets.defs.resources import profile_resources
from marvel_assets.defs.schedules import weekly_retraining
from marvel_assets.defs.training.assets import basic_model, fitted_pipeline
from marvel_assets.defs.training.checks import basic_model_inspection
from marvel_assets.paths import ProjectPaths

defs = dg.Definitions(
    assets=[
        raw_characters,
        characters,
        fitted_pipeline,
        basic_model,
        basic_model_version,
        inference_wheel,
        custom_model_version,
        survival_predictions,
        drift_report,
    ],
    asset_checks=[
        raw_numbers_are_readable,
        train_set_keeps_the_contract,
        test_set_keeps_the_contract,
        basic_model_inspection,
    ],
    jobs=[retrain, score, promote, rollback, approve, tune, verify_scoring_environment],
    # All ship switched off; the README tells how to turn them on.
    schedules=[weekly_retraining],
    sensors=[source_change_sensor, drift_sensor, aliases_agree, run_failure_alert],
    resources=profile_resources(ProjectPaths.from_environment()),
    loggers={"brief": brief_console},
    executor=watched_in_process_executor,
)
