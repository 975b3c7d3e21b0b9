"""What runs left behind in the tracker: curves and files, for the review of an experiment."""

import tempfile
from pathlib import Path

from croma.tracking.tracker import Tracker, door


def read_history(tracker: Tracker, run_id: str, key: str) -> list[tuple[int, float]]:
    """(step, value) of a metric by step; where a step stands twice, its last value."""
    with door(f"reading the history of {key}"):
        points = tracker.client.get_metric_history(run_id, key)
    return sorted({point.step: point.value for point in sorted(points, key=lambda point: point.timestamp)}.items())


def read_artifact(tracker: Tracker, run_id: str, path: str) -> bytes:
    """The bytes of an artifact of a run."""
    with tempfile.TemporaryDirectory() as folder, door(f"reading {path}"):
        return Path(tracker.client.download_artifacts(run_id, path, folder)).read_bytes()


def list_artifacts(tracker: Tracker, run_id: str, folder: str) -> list[str]:
    """Paths of the files in a folder of a run's artifacts; none where there is no such folder."""
    with door(f"listing {folder}"):
        return [item.path for item in tracker.client.list_artifacts(run_id, folder) if not item.is_dir]
