from pathlib import Path

import pytest

from croma.errors import InputError
from flows import build_dataset
from flows.site import Site


def test_shards_are_shared_among_at_most_a_hundred_tasks() -> None:
    for count in (0, 1, 99, 100, 101, 19_532):
        shards = tuple(map(str, range(count)))
        batches = build_dataset._batches(shards)
        assert len(batches) <= build_dataset.TASKS
        assert [shard for batch in batches for shard in batch] == list(shards)


def test_nodes_elsewhere_cannot_reach_a_folder_of_this_machine(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"a cluster cannot reach it; set CROMA_STORAGE to s3://"):
        build_dataset._nodes(Site(storage=str(tmp_path), build_ray="ray://head.example:10001"))


def test_a_flow_without_ray_says_what_it_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build_dataset, "find_spec", lambda _: None)
    with pytest.raises(InputError, match=r"Ray is not installed here; install croma-pipeline\[build,flows,ray\]"):
        build_dataset._nodes(Site(build_ray="auto"))
