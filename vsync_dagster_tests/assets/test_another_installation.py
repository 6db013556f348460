"""Two installations that share one storage by mistake, as a copy of a database for tests does."""

import json
from pathlib import Path

from vsync_dagster_tests.world import World


def test_a_sync_refuses_the_snapshots_of_another_installation(world: World) -> None:
    world.populate(20)
    assert world.sync().status == "COMPLETED"
    [manifest] = Path(world.variables.storage_url).glob("local_snapshot/*/*/manifest.json")
    theirs = json.loads(manifest.read_text()) | {"run_id": "b3b1c1de-0000-4000-8000-000000000000"}
    manifest.write_text(json.dumps(theirs))

    report = world.sync()

    assert report.status == "FAILED"
    assert "another installation (run b3b1c1de-0000-4000-8000-000000000000)" in (report.error_message or "")
    assert json.loads(manifest.read_text()) == theirs, "what is the other one's stays as it is"
