"""The pytest plugin for a service's own integration suite: fixtures `candidate_url` and `candidate`.

Installed with the toolkit and silent until a test asks for a fixture. Run by hand:
`RELEASE_CANDIDATE_URL=http://127.0.0.1:8101 pytest tests/integration`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

from release.checks.base import RELEASE, RETRIES, URL

if TYPE_CHECKING:
    import requests

_DEFAULT_TIMEOUT = 30.0  # seconds, for a request that names none


@pytest.fixture(scope="session")
def candidate_url() -> str:
    """Where the candidate answers: `http://127.0.0.1:8101`, without a trailing slash."""
    url = os.environ.get(URL)
    if not url:
        pytest.fail(f"no candidate to test: run it through `release check`, or set {URL}=http://host:port", False)
    return url.rstrip("/")


@pytest.fixture(scope="session")
def candidate_release() -> str:
    """The name of the release under test, `v1.2.0-abc1234`; empty where it is not known."""
    return os.environ.get(RELEASE, "")


@pytest.fixture
def candidate(candidate_url: str) -> Iterator[requests.Session]:
    """A `requests` session with the candidate as base: `candidate.get("/health")`.

    A refused connection is tried again (RELEASE_CONNECT_RETRIES times) until one was made, for a service may still be
    opening its port. Nothing else is ever retried: no answer, no status and no assertion.
    """
    with _session(candidate_url, int(os.environ.get(RETRIES, "3"))) as session:
        yield session


def _session(base: str, retries: int) -> requests.Session:
    import requests
    from requests.adapters import HTTPAdapter
    from urllib3.util import Retry

    class Candidate(requests.Session):
        def prepare_request(self, request: requests.Request) -> requests.PreparedRequest:
            if request.url is not None and request.url.startswith("/"):
                request.url = base + request.url
            return super().prepare_request(request)

        def send(self, request: requests.PreparedRequest, **options: Any) -> requests.Response:
            if options.get("timeout") is None:
                options["timeout"] = _DEFAULT_TIMEOUT
            response = super().send(request, **options)
            self.get_adapter(base).max_retries = Retry(0, read=False)  # type: ignore[attr-defined]
            return response

    session = Candidate()
    session.trust_env = False
    # Only a connection that could not be made is tried again: its request was never sent.
    connect = Retry(total=None, connect=retries, read=0, redirect=0, status=0, other=0, backoff_factor=0.3)
    session.mount("http://", HTTPAdapter(max_retries=connect))
    return session
