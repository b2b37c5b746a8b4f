"""Schedules."""

import dagster as dg

from marvel_assets.defs.training.jobs import retrain

weekly_retraining = dg.ScheduleDefinition(
    name="weekly_retraining",
    job=retrain,
    cron_schedule="0 6 * * 1",
    execution_timezone="Europe/Amsterdam",
    description="Mondays at 06:00 in Amsterdam, whether or not the source has changed.",
)
