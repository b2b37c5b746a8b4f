"""How old what the assets made may grow: a week, as often as they are made anew, and a day to mend what failed."""

from datetime import timedelta

import dagster as dg

WEEKLY = dg.FreshnessPolicy.time_window(fail_window=timedelta(days=8), warn_window=timedelta(days=7, hours=6))
