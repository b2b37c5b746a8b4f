"""What the graph reads and does not make: shown before the assets, so that the lineage is complete."""

import dagster as dg

from marvel_assets.defs.metadata import OWNERS

characters_source = dg.AssetSpec(
    "characters_source",
    group_name="ingestion",
    kinds={"csv"},
    owners=OWNERS,
    description="The file, folder, table, URL or generator that `MARVEL_SOURCE` or a run's configuration names.",
)
