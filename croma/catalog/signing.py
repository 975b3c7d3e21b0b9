"""Signing addresses at the moment they are read: the only file that imports planetary_computer.

Planetary Computer's files lie in Azure containers that are read with a token of about 45 minutes. Plans, indexes and
cards hold unsigned addresses; a reader signs one when it opens it. A token is fetched once per container and shared by
the threads of a process and, through a private folder in memory, by the processes of a machine. It is never written to
a disk, a log or a message.
"""

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from urllib.parse import urlsplit

import requests
from planetary_computer.sas import BLOB_STORAGE_DOMAIN
from planetary_computer.settings import Settings
from requests.adapters import HTTPAdapter
from urllib3 import Retry

from croma.catalog.items import unsigned
from croma.catalog.machine import private_folder, shared_file
from croma.errors import TransientError, UnusableError

PUBLIC = {"ai4edatasetspublicassets"}
"""Accounts that are read without a token."""
MARGIN = 60.0
"""Seconds before its end at which a token is renewed; a quarter of its life where that is shorter."""
TRIES = 4


@dataclass(frozen=True, slots=True)
class _Token:
    text: str
    expiry: float
    """Seconds since 1970."""
    margin: float

    def fresh(self) -> bool:
        return datetime.now(UTC).timestamp() < self.expiry - self.margin

    def __repr__(self) -> str:
        return f"_Token(expiry={self.expiry})"


class Signer:
    """Signs addresses of Azure blob storage, and leaves every other address as it is.

    Args:
        endpoint: of the token service; by default `PC_SDK_SAS_URL`, or Planetary Computer's.
        domain: addresses of hosts that end so are signed; the first label is the account.
        folder: shared by the processes of a machine; None shares with nobody.
        timeout: seconds to wait for the token service, each time.
        pause: seconds before the second try; doubles each time; `Retry-After` goes before it.
    """

    def __init__(
        self,
        endpoint: str | None = None,
        domain: str = BLOB_STORAGE_DOMAIN,
        folder: Path | None = None,
        timeout: float = 20.0,
        pause: float = 0.8,
    ) -> None:
        settings = Settings.get()
        self.endpoint = (endpoint or str(settings.sas_url)).rstrip("/")
        self._key = settings.subscription_key
        self.domain = domain
        self.folder = folder
        self.timeout = timeout
        self._tokens: dict[str, _Token] = {}
        self._locks: dict[str, threading.Lock] = {}
        self._guard = threading.Lock()
        self._session = requests.Session()
        retry = Retry(
            TRIES - 1,
            backoff_factor=pause,
            backoff_jitter=pause,
            status_forcelist=(429, 500, 502, 503, 504),
            raise_on_status=False,
        )
        for scheme in ("http://", "https://"):
            self._session.mount(scheme, HTTPAdapter(max_retries=retry))

    def sign(self, href: str) -> str:
        """`href` with a token that is good for a while, if its host needs one; an old signature is replaced.

        Raises:
            TransientError: the token service does not answer, or not with a token that is still good.
            UnusableError: the token service refuses this container.
        """
        container = self._container(href)
        if container is None:
            return href
        with self._guard:
            lock = self._locks.setdefault(container, threading.Lock())
        with lock:
            token = self._tokens.get(container)
            if token is None or not token.fresh():
                token = self._tokens[container] = self._shared(container)
        return f"{unsigned(href)}?{token.text}"

    def renew(self, refused: str) -> str:
        """A new signature for an address that was refused (403): the token it carries is not used again.

        Raises:
            TransientError: as in `sign`.
            UnusableError: as in `sign`.
        """
        container = self._container(refused)
        if container is not None:
            old = urlsplit(refused).query
            with self._guard:
                kept = self._tokens.get(container)
                if kept is not None and kept.text == old:
                    del self._tokens[container]
            with self._file(container) as path:
                if path is not None and (stored := _load(path)) is not None and stored.text == old:
                    path.unlink()
        return self.sign(refused)

    def _container(self, href: str) -> str | None:
        parts = urlsplit(href)
        host = parts.netloc
        if parts.scheme not in ("http", "https") or not host.endswith(self.domain):
            return None
        account, names = host.removesuffix(self.domain) or "local", parts.path.lstrip("/").split("/")
        return None if account in PUBLIC or len(names) < 2 else f"{account}/{names[0]}"

    def _shared(self, container: str) -> _Token:
        """The machine's token of a container, fetched if there is none that is fresh."""
        with self._file(container) as path:
            if path is not None and (stored := _load(path)) is not None and stored.fresh():
                return stored
            token = self._fetch(container)
            if path is not None:
                path.write_text(json.dumps([token.text, token.expiry, token.margin]))
            return token

    @contextmanager
    def _file(self, container: str) -> Iterator[Path | None]:
        """The file of a container's token, locked against the other processes; None where nothing is shared."""
        if self.folder is None:
            yield None
            return
        with shared_file(self.folder, f"token {self.endpoint}/{container} {self._key}") as path:
            yield path

    def _fetch(self, container: str) -> _Token:
        headers = {"Ocp-Apim-Subscription-Key": self._key} if self._key else None
        for _ in range(TRIES):
            try:
                answer = self._session.get(f"{self.endpoint}/{container}", headers=headers, timeout=self.timeout)
            except requests.RequestException as error:
                kind = type(error).__name__
                raise TransientError(f"no token for {container}: {self.endpoint} does not answer ({kind})") from None
            if answer.status_code in (429, 500, 502, 503, 504):
                raise TransientError(
                    f"no token for {container}: {self.endpoint} answers {answer.status_code} to {TRIES} tries"
                )
            if answer.status_code != 200:
                raise UnusableError(f"no token for {container}: {self.endpoint} answers {answer.status_code}")
            token = _parse(answer)
            if token is not None and token.fresh():
                return token
        raise TransientError(f"no token for {container}: {self.endpoint} gives none that is still good")


def _parse(answer: requests.Response) -> _Token | None:
    try:
        body = answer.json()
        expiry = datetime.fromisoformat(body["msft:expiry"]).timestamp()
        text = str(body["token"]).lstrip("?")
    except (ValueError, KeyError, TypeError):
        return None
    life = expiry - datetime.now(UTC).timestamp()
    return _Token(text, expiry, min(MARGIN, life / 4)) if re.search(r"(^|&)sig=", text) and life > 0 else None


def _load(path: Path) -> _Token | None:
    try:
        text, expiry, margin = json.loads(path.read_text())
    except (OSError, ValueError):
        return None
    return _Token(text, expiry, margin)


@lru_cache(maxsize=1)
def default_signer() -> Signer:
    """The signer of this process."""
    return Signer(folder=private_folder())


def sign(href: str) -> str:
    """`href` as it must be opened: signed if its host needs it. See `Signer.sign`."""
    return default_signer().sign(href)


def renew(refused: str) -> str:
    """A new signature for an address that was refused. See `Signer.renew`."""
    return default_signer().renew(refused)
