"""The job: one sync of one participant on one day."""

import dagster as dg

SYNC_JOB = "sync"

# One process a sync: a process for each of five short steps would cost more than the steps themselves. Syncs of several
# participants run side by side as runs.
sync_job = dg.define_asset_job(
    SYNC_JOB,
    selection=dg.AssetSelection.groups("vsync"),
    description="Verifies one participant's keys against DICT, repairs them, and proves the result.",
    executor_def=dg.in_process_executor,
)
