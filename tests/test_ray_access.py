"""Ray's mode and token, set after Ray was imported."""

from collections.abc import Iterator

import pytest
from ray._private.authentication.http_token_authentication import get_auth_headers_if_auth_enabled

from croma import ray_access


@pytest.fixture
def environment() -> Iterator[pytest.MonkeyPatch]:
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("RAY_AUTH_MODE", raising=False)
        patch.delenv("RAY_AUTH_TOKEN", raising=False)
        ray_access.read_environment()
        yield patch
    ray_access.read_environment()


def shown() -> dict[str, str]:
    """What Ray's clients send with a request."""
    return get_auth_headers_if_auth_enabled({})


def test_what_is_set_late_is_seen(environment: pytest.MonkeyPatch) -> None:
    assert shown() == {}
    for token in ("a" * 40, "b" * 40):
        environment.setenv("RAY_AUTH_MODE", "token")
        environment.setenv("RAY_AUTH_TOKEN", token)
        ray_access.read_environment()
        assert shown() == {"authorization": f"Bearer {token}"}
    environment.setenv("RAY_AUTH_MODE", "disabled")
    ray_access.read_environment()
    assert shown() == {}
