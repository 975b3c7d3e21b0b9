"""Images built from their Dockerfiles and run, on a base made of Debian's packages: no registry of images is asked."""

import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from infra.local.stack.process import listens
from tests.conftest import REPOSITORY, free_port

pytestmark = [pytest.mark.long, pytest.mark.timeout(1800)]

BASE = "localhost/debian:bookworm"
AUTHORITIES = Path("/etc/ssl/certs/ca-certificates.crt")
LIMITS = ("--network", "host", "--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1024:1024")
"""What an engine inside a sandbox may set: neither networks of its own nor higher limits."""


class Engine:
    """Podman, with all that it keeps in one folder and file systems that need nothing of the kernel."""

    def __init__(self, home: Path) -> None:
        self.words = ["podman", "--storage-driver", "vfs", "--runtime", "runc"]
        self.words += ["--root", str(home / "storage"), "--runroot", str(home / "run")]

    def __call__(self, *words: str) -> str:
        done = subprocess.run([*self.words, *words], cwd=REPOSITORY, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{words}: {done.stdout[-1000:]}{done.stderr[-3000:]}"
        return done.stdout.strip()

    def build(self, image: str) -> str:
        """The name of an image of ours, built as docker/README.md says."""
        name = f"localhost/croma-{image}:test"
        file = f"docker/{image}.Dockerfile"
        self("build", "--layers=false", *LIMITS, "--build-arg", f"BASE_IMAGE={BASE}", "-f", file, "-t", name, ".")
        return name

    @contextmanager
    def running(self, image: str, *command: str) -> Iterator[Callable[..., str]]:
        """A container of an image, for the time of the block: call it with words to run in it."""
        container = self("run", "--detach", *LIMITS, image, *command)
        try:
            yield lambda *words: self("exec", container, *words)
        finally:
            self("rm", "--force", "--time", "10", container)


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """An engine that has a bare Debian, which trusts whom this machine trusts."""
    for program in ("podman", "runc", "debootstrap"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is missing: apt-get install podman buildah runc debootstrap")
    if os.getuid():
        pytest.skip("only root can make a base image")
    home = tmp_path_factory.mktemp("engine")
    root, podman = home / "root", Engine(home)
    try:
        subprocess.run(["debootstrap", "--variant=minbase", "bookworm", root], check=True, stdout=subprocess.DEVNULL)
        (root / "etc/ssl/certs").mkdir(parents=True, exist_ok=True)
        shutil.copy(AUTHORITIES, root / AUTHORITIES.relative_to("/"))
        shutil.copytree(
            "/usr/local/share/ca-certificates", root / "usr/local/share/ca-certificates", dirs_exist_ok=True
        )
        (root / "etc/pip.conf").write_text(f"[global]\ncert = {AUTHORITIES}\n")
        subprocess.run(["tar", "-C", root, "-cf", home / "root.tar", "."], check=True)
        podman("import", str(home / "root.tar"), BASE)
        yield podman
    finally:
        shutil.rmtree(home, ignore_errors=True)


def test_the_build_image(engine: Engine) -> None:
    with engine.running(engine.build("build"), "sleep", "infinity") as inside:
        assert inside("id", "-u") == "10001"
        assert "demo" in inside("croma", "recipes")
        assert inside("python3", "-c", "import rasterio; print(rasterio.__gdal_version__)")
        assert inside("prefect", "--version")


def test_the_mlflow_image(engine: Engine) -> None:
    address = f"http://127.0.0.1:{free_port()}"
    command = ("mlflow", "server", "--host", "127.0.0.1", "--port", address.split(":")[-1], "--workers", "1")
    with engine.running(engine.build("mlflow"), *command) as inside:
        deadline = time.monotonic() + 120
        while not listens(f"{address}/health"):
            assert time.monotonic() < deadline, "the server does not answer"
            time.sleep(0.5)
        assert inside("id", "-u") == "10001"
