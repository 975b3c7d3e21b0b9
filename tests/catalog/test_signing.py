import logging
import multiprocessing
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path

import pytest

from croma.catalog.machine import private_folder
from croma.catalog.signing import Signer, sign
from croma.errors import TransientError, UnusableError
from tests.conftest import free_port
from tests.servers.sas import TokenServer, token_server


@pytest.fixture
def server() -> Iterator[TokenServer]:
    with token_server() as server:
        yield server


def signer(server: TokenServer, folder: Path | None = None) -> Signer:
    return Signer(f"http://{server.host}/token", domain=server.host, folder=folder, timeout=2, pause=0.01)


def get(href: str) -> int:
    try:
        with urllib.request.urlopen(href, timeout=2) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


@pytest.mark.parametrize(
    "href",
    [
        "s3://eodata/Sentinel-2/B02.jp2",
        "/data/B02.tif",
        "file:///data/B02.tif",
        "https://sentinel-cogs.s3.us-west-2.amazonaws.com/B02.tif?x=1",
        "http://127.0.0.1:1/container/B02.tif",
        "https://ai4edatasetspublicassets.blob.core.windows.net/assets/x.png",
    ],
)
def test_other_addresses_are_left_as_they_are(href: str) -> None:
    assert sign(href) == href


def test_a_signed_address_opens_what_an_unsigned_one_does_not(server: TokenServer) -> None:
    href = f"http://{server.host}/sentinel2-l2/a/B02.tif"
    assert get(href) == 403
    assert get(signer(server).sign(href)) == 200


def test_one_token_serves_a_container_and_its_threads(server: TokenServer) -> None:
    ours = signer(server)
    hrefs = [f"http://{server.host}/{container}/{n}.tif" for n in range(40) for container in ("one", "two")]
    with ThreadPoolExecutor(8) as pool:
        signed = list(pool.map(ours.sign, hrefs))
    assert server.asked == {"local/one": 1, "local/two": 1}
    assert len({href.split("?")[1] for href in signed}) == 2


def _sign_elsewhere(endpoint: str, domain: str, folder: Path) -> str:
    return Signer(endpoint, domain=domain, folder=folder, timeout=2, pause=0.01).sign(f"http://{domain}/one/a.tif")


@pytest.mark.slow
def test_one_token_serves_the_processes_of_a_machine(server: TokenServer, tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(3, mp_context=context) as pool:
        jobs = [pool.submit(_sign_elsewhere, f"http://{server.host}/token", server.host, tmp_path) for _ in range(6)]
        assert len({job.result() for job in jobs}) == 1
    assert server.asked == {"local/one": 1}


def test_a_second_signer_takes_the_token_from_the_folder(server: TokenServer, tmp_path: Path) -> None:
    href = f"http://{server.host}/one/a.tif"
    assert signer(server, tmp_path).sign(href) == signer(server, tmp_path).sign(href)
    assert server.asked == {"local/one": 1}
    assert all(path.stat().st_mode & 0o077 == 0 for path in tmp_path.iterdir() if path.suffix != ".lock")


def test_a_token_is_renewed_before_it_ends(server: TokenServer, tmp_path: Path) -> None:
    server.life = 0.8
    ours, href = signer(server, tmp_path), f"http://{server.host}/one/a.tif"
    end = time.monotonic() + 1.6
    while time.monotonic() < end:
        assert get(ours.sign(href)) == 200
        time.sleep(0.05)
    assert 3 <= server.asked["local/one"] <= 6


def test_a_revoked_token_is_replaced_once_for_all(server: TokenServer, tmp_path: Path) -> None:
    ours, href = signer(server, tmp_path), f"http://{server.host}/one/a.tif"
    refused = ours.sign(href)
    server.revoke()
    assert get(refused) == 403
    with ThreadPoolExecutor(4) as pool:
        again = list(pool.map(ours.renew, [refused] * 8))
    assert [get(one) for one in again] == [200] * 8
    assert server.asked["local/one"] == 2
    assert get(signer(server, tmp_path).sign(href)) == 200
    assert server.asked["local/one"] == 2


def test_an_old_signature_is_replaced(server: TokenServer) -> None:
    signed = signer(server).sign(f"http://{server.host}/one/a.tif?se=2020&sig=old")
    assert signed.count("sig=") == 1
    assert get(signed) == 200


def test_throttling_is_waited_out(server: TokenServer) -> None:
    server.throttled = 1
    start = time.monotonic()
    assert get(signer(server).sign(f"http://{server.host}/one/a.tif")) == 200
    assert time.monotonic() - start >= 1, "it said Retry-After: 1"


def test_tokens_that_are_expired_when_they_come_are_asked_for_again(server: TokenServer) -> None:
    server.expired = 2
    assert get(signer(server).sign(f"http://{server.host}/one/a.tif")) == 200
    server.revoke()
    server.expired = 100
    with pytest.raises(TransientError, match=r"no token for local/one: .* gives none that is still good"):
        signer(server).sign(f"http://{server.host}/one/a.tif")


def test_failures_of_the_service(server: TokenServer) -> None:
    href = f"http://{server.host}/one/a.tif"
    server.status = 404
    with pytest.raises(UnusableError, match="answers 404"):
        signer(server).sign(href)
    server.status = 503
    with pytest.raises(TransientError, match="answers 503 to 4 tries"):
        signer(server).sign(href)
    nobody = Signer(f"http://127.0.0.1:{free_port()}/token", domain=server.host, timeout=0.2, pause=0.01)
    with pytest.raises(TransientError, match="does not answer"):
        nobody.sign(href)


def test_no_secret_in_logs_or_words(server: TokenServer, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    ours = signer(server)
    ours.sign(f"http://{server.host}/one/a.tif")
    assert "SECRET" not in repr(ours._tokens)
    assert "SECRET" not in caplog.text


def test_the_shared_folder_is_private() -> None:
    folder = private_folder()
    assert folder is not None
    assert folder.stat().st_mode & 0o077 == 0
