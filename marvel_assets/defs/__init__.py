"""What Dagster sees: assets, checks, jobs, sensors and schedules, one folder per stage."""

import gc

# Imports create objects that stay. By default Python's garbage collector scans all of them repeatedly, which takes a
# second in all.
gc.set_threshold(10_000, 20, 20)
