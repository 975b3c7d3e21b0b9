"""A build whose imagery, or the service that signs for it, fails."""

import re
import shutil
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from croma.catalog.signing import Signer
from croma.errors import TransientError
from croma.raster import source
from croma.shards.dataset import Dataset
from croma.shards.reader import verify
from tests.faults.speck import assert_clear, build, build_at_last, crcs, items, refused, shards, spec, unreadable
from tests.servers.ranges import FileServer, serve_files
from tests.servers.sas import TokenServer, token_server
from tests.servers.stac import careless

pytestmark = pytest.mark.slow

TILE = "T33UUA"


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    quick = {"init_backoff": timedelta(milliseconds=1), "max_backoff": timedelta(milliseconds=5), "base": 2}
    monkeypatch.setattr(source, "_RETRY", {"max_retries": 2, "backoff": quick})
    monkeypatch.setattr(source, "PAUSE", 0.001)
    source._host.cache_clear()
    yield
    source._host.cache_clear()


@pytest.fixture
def tokens(files: FileServer) -> Iterator[TokenServer]:
    """A token service without which no file is read."""
    with token_server() as server:
        files.good = server
        yield server


def signer(tokens: TokenServer, files: FileServer) -> Signer:
    return Signer(f"http://{tokens.host}/token", domain=files.address.removeprefix("http://"), timeout=2, pause=0.01)


class Revoking(Signer):
    """Has its tokens taken away in the middle of everything, again and again."""

    def __init__(self, tokens: TokenServer, files: FileServer) -> None:
        super().__init__(f"http://{tokens.host}/token", domain=files.address.removeprefix("http://"), pause=0.01)
        self._tokens_service, self.signed = tokens, 0

    def sign(self, href: str) -> str:
        self.signed += 1
        signed = super().sign(href)
        if self.signed in (7, 60, 150):
            self._tokens_service.revoke()
        return signed


# What the token service does


@pytest.mark.parametrize("trouble", ["throttled", "revoked"])
def test_trouble_with_tokens_changes_nothing(
    world: Path, calm: Dataset, files: FileServer, tokens: TokenServer, tmp_path: Path, trouble: str
) -> None:
    chosen = Revoking(tokens, files) if trouble == "revoked" else signer(tokens, files)
    if trouble == "throttled":
        tokens.throttled, tokens.expired = 1, 2
    with careless(items(world, files.address)) as catalog:
        built = build(spec(), catalog.address, str(tmp_path), chosen)
    assert crcs(built) == crcs(calm)
    assert refused(built.ref.uri) == refused(calm.ref.uri)
    most = {"throttled": 2 + 1 + 2, "revoked": 2 * 4}[trouble]
    assert 2 < tokens.asked.total() <= most, "a container's token is asked for once, and once more for each trouble"


def test_a_token_service_that_is_away_stops_the_build_and_it_goes_on(
    world: Path, calm: Dataset, files: FileServer, tokens: TokenServer, tmp_path: Path
) -> None:
    with careless(items(world, files.address)) as catalog:
        job = (spec(), catalog.address, str(tmp_path), signer(tokens, files))
        tokens.expired = 1000
        with pytest.raises(TransientError, match="gives none that is still good") as stopped:
            build(*job)
        assert_clear(stopped.value)
        assert shards(str(tmp_path)) == {}
        tokens.expired = 0
        built = build(*job)
    assert crcs(built) == crcs(calm)
    assert built.ref.version == 1


def test_a_server_that_refuses_every_signature_is_no_bad_data(
    world: Path, files: FileServer, tokens: TokenServer, tmp_path: Path
) -> None:
    files.good = ()
    refusal = pytest.raises(TransientError, match="every file is refused")
    with careless(items(world, files.address)) as catalog, refusal as stopped:
        build(spec(), catalog.address, str(tmp_path), signer(tokens, files))
    assert_clear(stopped.value)
    assert shards(str(tmp_path)) == {}


# What single files do


def rot(path: Path) -> None:
    """Zeros in the middle of the pixels."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2 : len(data) // 2 + 64] = bytes(64)
    path.write_bytes(data)


def cut_short(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])


BROKEN: dict[str, tuple[Callable[[Path], Any], str]] = {
    "gone": (Path.unlink, "not found"),
    "truncated": (cut_short, "block|ends"),
    "rotten": (rot, "block"),
    "empty": (lambda path: path.write_bytes(b""), ""),
}


@pytest.mark.parametrize(
    ("fault", "band"), [("gone", "B04"), ("truncated", "B04"), ("rotten", "SCL"), ("rotten", "VH"), ("empty", "VH")]
)
def test_a_broken_file_costs_its_chips_and_no_others(
    world: Path, calm: Dataset, tmp_path: Path, fault: str, band: str
) -> None:
    damage, words = BROKEN[fault]
    copy = shutil.copytree(world, tmp_path / "world")
    name = {"VH": "iw-vh.rtc.tiff"}.get(band, f"_{band}_")
    path = next(p for p in sorted(copy.rglob("*.tif*")) if name in p.name and (band == "VH" or TILE in p.name))
    whole = path.read_bytes()
    damage(path)
    uri = str(tmp_path / "dataset")
    with serve_files(copy) as files, careless(items(copy, files.address)) as catalog:
        first = build(spec(), catalog.address, uri)
        lost = {row["chip"] for row in unreadable(uri)}
        assert lost
        assert crcs(first) == {chip: crc for chip, crc in crcs(calm).items() if chip not in lost}
        assert {chip for chip, _ in refused(uri)} - lost == {chip for chip, _ in refused(calm.ref.uri)} - lost
        assert lost < set(crcs(calm)), "what was refused is what is missing, and a part only"
        for row in unreadable(uri):
            assert row["reason"] == "unreadable"
            product, named = row["detail"].partition(":")[0].split()
            assert named == band.replace("VH", "vh"), row
            assert product.rpartition("_")[0][:20] in str(path) or TILE in product
        path.write_bytes(whole)
        second = build(spec(), catalog.address, uri)
    assert (first.ref.version, second.ref.version) == (1, 2)
    assert crcs(second) == crcs(calm)
    assert verify(second) == []
    assert all(re.search(words, row["detail"]) for row in unreadable(uri)), unreadable(uri)[0]


@pytest.mark.parametrize("fault", [403, "cut"])
def test_a_server_that_keeps_one_file_back_costs_its_chips(
    world: Path, calm: Dataset, files: FileServer, tmp_path: Path, fault: int | str
) -> None:
    name = next(str(p.relative_to(world)) for p in world.rglob("*_B04_*") if TILE in p.name)
    files.faults[name] = [fault]
    with careless(items(world, files.address)) as catalog:
        first = build(spec(), catalog.address, str(tmp_path))
        lost = {row["chip"] for row in unreadable(str(tmp_path))}
        files.faults.clear()
        second = build(spec(), catalog.address, str(tmp_path))
    assert crcs(first) == {chip: crc for chip, crc in crcs(calm).items() if chip not in lost}
    assert lost < set(crcs(calm))
    assert crcs(second) == crcs(calm)


def test_an_outage_of_the_imagery_is_waited_out_or_stops_the_build(
    world: Path, calm: Dataset, files: FileServer, tmp_path: Path
) -> None:
    status = 503
    names = [str(p.relative_to(world)) for p in world.rglob("*_B04_*")]
    files.faults |= {name: [status] for name in names}
    with careless(items(world, files.address)) as catalog:
        with pytest.raises(TransientError, match=f"B04: .*{status}") as stopped:
            build(spec(), catalog.address, str(tmp_path))
        assert_clear(stopped.value)
        files.faults |= {name: [status, "fine"] for name in names}
        built, _ = build_at_last(spec(), catalog.address, str(tmp_path))
    assert crcs(built) == crcs(calm)
    assert refused(str(tmp_path)) == refused(calm.ref.uri), "an outage is nobody's refusal"
