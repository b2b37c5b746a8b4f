"""What Dagster sees: assets, checks, jobs, sensors and schedules, a folder a stage."""

import gc

# Imports make objects that stay. By default Python looks through all of them again and again, for a second in all.
gc.set_threshold(10_000, 20, 20)
