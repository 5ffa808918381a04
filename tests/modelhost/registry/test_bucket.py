"""What an object store says when two create the same object at once, which no server at hand can be made to say."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from modelhost.errors import RegistryUnavailable
from modelhost.registry.bucket import Bucket

PRECONDITION = (412, "PreconditionFailed")
CONFLICT = (409, "ConditionalRequestConflict")
DONE = (200, "")


class Store:
    """Answers each PUT with the next of `answers`, the last one for ever."""

    def __init__(self) -> None:
        self.answers: list[tuple[int, str]] = []
        self.asked: list[str] = []
        store = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_PUT(self) -> None:
                self.rfile.read(int(self.headers.get("Content-Length", 0)))
                store.asked.append(self.headers["If-None-Match"])
                status, code = store.answers.pop(0) if len(store.answers) > 1 else store.answers[0]
                body = f"<Error><Code>{code}</Code><Message>no</Message></Error>".encode() if code else b""
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.send_header("ETag", '"x"')
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{self._server.server_port}"
        options = {"key": "key", "secret": "secret", "client_kwargs": {"endpoint_url": url}}
        self.bucket = Bucket("s3://bucket/models", options, read_timeout=30.0, tries=1)

    def end(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    store = Store()
    yield store
    store.end()


def test_a_store_that_does_not_name_the_condition_has_said_that_there_is_one(store: Store) -> None:
    store.answers = [PRECONDITION]
    assert not store.bucket.create("desired/1.json", b"{}")
    assert store.asked == ["*"]


@pytest.mark.parametrize(("end", "created"), [(DONE, True), (PRECONDITION, False)])
def test_where_two_write_at_once_and_none_has_won_yet_it_is_asked_again(
    store: Store, end: tuple[int, str], created: bool
) -> None:
    store.answers = [CONFLICT, CONFLICT, end]
    assert store.bucket.create("desired/1.json", b"{}") is created
    assert store.asked == ["*", "*", "*"]


def test_a_store_that_never_decides_is_one_that_does_not_answer(store: Store) -> None:
    store.answers = [CONFLICT]
    with pytest.raises(RegistryUnavailable, match="does not answer"):
        store.bucket.create("desired/1.json", b"{}")
    assert len(store.asked) == 5
