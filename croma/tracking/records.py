"""Runs as they stand in the tracker: found by their tags, named, nested, ended when their process is gone."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from croma.tracking.run import HEARTBEAT, PARENT
from croma.tracking.tracker import Tracker, door

# isort: split
from mlflow.entities import Run as MlflowRun


@dataclass(frozen=True, kw_only=True, slots=True)
class RunRecord:
    """A run as it stands in the tracker."""

    id: str
    name: str
    status: str
    start: int
    """Unix milliseconds."""
    end: int | None
    params: dict[str, str]
    tags: dict[str, str]
    metrics: dict[str, float]
    """The last value of each."""


def read_runs(tracker: Tracker, experiment: str, tags: Mapping[str, str] | None = None) -> list[RunRecord]:
    """Runs of an experiment that carry all of `tags`, newest first; [] when there is no such experiment."""
    where = " and ".join(f"tags.`{key}` = '{value}'" for key, value in (tags or {}).items())
    client, records, token = tracker.client, list[RunRecord](), None
    with door(f"reading the runs of {experiment}"):
        found = client.get_experiment_by_name(experiment)
        while found is not None:
            page = client.search_runs([found.experiment_id], where, max_results=500, page_token=token)
            records += [_record(run) for run in page]
            token = page.token
            if not token:
                break
    return records


def rename_run(tracker: Tracker, run_id: str, name: str) -> None:
    """Give a run the name that lists show."""
    with door(f"naming the run {name}"):
        tracker.client.update_run(run_id, name=name)


def read_run(tracker: Tracker, run_id: str) -> RunRecord:
    """The run of this id.

    Raises:
        InputError: there is none.
    """
    with door(f"reading the run {run_id}"):
        return _record(tracker.client.get_run(run_id))


def _record(run: MlflowRun) -> RunRecord:
    info, data = run.info, run.data
    return RunRecord(
        id=info.run_id,
        name=info.run_name,
        status=info.status,
        start=info.start_time,
        end=info.end_time,
        params=data.params,
        tags=data.tags,
        metrics=data.metrics,
    )


def nest(tracker: Tracker, run_id: str, parent: str) -> None:
    """Show a run below `parent`, whatever it was shown below before.

    Raises:
        InputError: there is no such run.
    """
    with door(f"nesting the run {run_id}"):
        tracker.client.set_tag(run_id, PARENT, parent)


def sweep_stale(tracker: Tracker, experiment: str, idle: timedelta) -> list[str]:
    """End as KILLED the runs that say RUNNING and sent nothing for `idle`; their ids. A killed process cannot."""
    deadline, swept = time.time() - idle.total_seconds(), []
    for run in read_runs(tracker, experiment):
        heard = float(run.tags.get(HEARTBEAT, run.start / 1000))
        if run.status == "RUNNING" and heard < deadline:
            with door(f"ending the stale run {run.name}"):
                tracker.client.set_terminated(run.id, "KILLED", end_time=int(heard * 1000))
            swept.append(run.id)
    return swept
