from pathlib import Path

import pytest

from croma.errors import InputError
from flows.site import Site


def test_site_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CROMA_STORAGE", "s3://bucket/prefix/")
    monkeypatch.setenv("CROMA_THREADS", "7")
    (tmp_path / ".env").write_text("CROMA_CATALOG=http://127.0.0.1:1\nSOMEBODY_ELSES=1\n")
    site = Site.load()
    assert (site.root, site.threads, site.catalog) == ("s3://bucket/prefix", 7, "http://127.0.0.1:1")
    assert site.dataset("demo") == "s3://bucket/prefix/datasets/demo"
    assert site.dataset("s3://other/d") == "s3://other/d"


def test_every_wrong_variable_is_listed_and_no_password_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CROMA_THREADS", "0")
    monkeypatch.setenv("CROMA_TRACKING", "ftp://me:secret@host")
    with pytest.raises(InputError) as caught:
        Site.load()
    assert len(caught.value.problems) == 2
    assert all(line.startswith("site: CROMA_T") for line in caught.value.problems)
    assert "secret" not in str(caught.value)


def test_a_build_joins_its_cluster_and_submits_no_job(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CROMA_BUILD_RAY", "http://head:8265")
    monkeypatch.setenv("CROMA_BUILD_CPUS", "0")
    with pytest.raises(InputError, match=r"CROMA_BUILD_RAY: .*expected ray://host:10001") as caught:
        Site.load()
    assert len(caught.value.problems) == 2
