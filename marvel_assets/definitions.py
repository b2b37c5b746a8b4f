"""The system: what exists, and with which resources."""

import dagster as dg

from marvel_assets.assets.drift import drift_report
from marvel_assets.assets.ingestion import characters, raw_characters
from marvel_assets.assets.predictions import survival_predictions
from marvel_assets.assets.registry import basic_model_version
from marvel_assets.assets.serving import custom_model_version, inference_wheel
from marvel_assets.assets.training import basic_model, fitted_pipeline
from marvel_assets.automation.aliases import aliases_agree
from marvel_assets.automation.console import brief_console
from marvel_assets.automation.drift import drift_sensor
from marvel_assets.automation.failures import failed_runs
from marvel_assets.automation.jobs import approve, promote, retrain, rollback, score, tune, verify_scoring_environment
from marvel_assets.automation.new_data import new_raw_data
from marvel_assets.automation.schedules import weekly_retraining
from marvel_assets.automation.watched_runs import watched_in_process_executor
from marvel_assets.checks.ingestion import test_set_keeps_the_contract, train_set_keeps_the_contract
from marvel_assets.checks.training import basic_model_inspection
from marvel_assets.home import Home
from marvel_assets.resources.profiles import resources_of_the_profile

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
    asset_checks=[train_set_keeps_the_contract, test_set_keeps_the_contract, basic_model_inspection],
    jobs=[retrain, score, promote, rollback, approve, tune, verify_scoring_environment],
    # All ship switched off; the README tells how to turn them on.
    schedules=[weekly_retraining],
    sensors=[new_raw_data, drift_sensor, aliases_agree, failed_runs],
    resources=resources_of_the_profile(Home.from_environment()),
    loggers={"brief": brief_console},
    executor=watched_in_process_executor,
)
