"""Builds on a real Docker Engine: what they make, and that nothing is left where they fail."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from release import naming
from release.daemon import Daemon
from release.errors import BuildFailed
from release.image.docker import DockerImages
from release.image.store import BuildRequest, Image

pytestmark = pytest.mark.docker
Build = Callable[..., Image]
RequestFor = Callable[..., BuildRequest]


def everything(scope: str) -> tuple[set[str], set[str]]:
    """Images (layers and stages too) and containers that carry the scope, whatever the store lists."""
    client = Daemon().api
    wanted = {"label": f"{naming.LABEL_SCOPE}={scope}"}
    images = {row["Id"] for row in client.images(filters=wanted, all=True)}
    return images, {row["Id"] for row in client.containers(filters=wanted, all=True)}


def test_an_image_carries_its_tag_and_all_labels(store: DockerImages, request_for: RequestFor, scope: str) -> None:
    request = request_for("COPY data /data")
    image = store.build(request, lambda _: None)
    assert image.reference == f"{scope}:{request.release}"
    assert image.labels == dict(request.labels)
    assert store.find(scope, request.release) == image == store.get(image.id)
    assert [found.id for found in store.all(scope)] == [image.id]


def test_labels_hold_any_text(store: DockerImages, request_for: RequestFor) -> None:
    import dataclasses

    odd = {"a": 'say "hi" to $HOME and ${PATH}', "b": "back\\slash", "c": "ünïcödé 中文", "d": "it's", "e": ""}
    request = request_for("COPY data /data", base="scratch")
    image = store.build(dataclasses.replace(request, labels=dict(request.labels) | odd), lambda _: None)
    assert {key: image.labels[key] for key in odd} == odd


def test_a_changed_label_costs_no_cache(store: DockerImages, request_for: RequestFor) -> None:
    store.build(request_for("RUN echo once > /once"), lambda _: None)
    said: list[str] = []
    store.build(request_for("RUN echo once > /once", tag="v1.0.1"), said.append)
    assert said.count(" ---> Using cache") == 2


def test_a_failed_build_leaves_nothing(store: DockerImages, request_for: RequestFor, scope: str) -> None:
    with pytest.raises(BuildFailed, match="non-zero code: 7") as caught:
        store.build(request_for("RUN echo made > /made", "RUN echo telling; exit 7"), lambda _: None)
    assert "telling" in str(caught.value.context["log"])
    assert everything(scope) == (set(), set())


def test_a_failed_build_spares_what_was_there(store: DockerImages, request_for: RequestFor, scope: str) -> None:
    store.build(request_for("RUN echo made > /made"), lambda _: None)
    before = everything(scope)
    with pytest.raises(BuildFailed):
        store.build(request_for("RUN echo made > /made", "RUN exit 7", tag="v1.0.1"), lambda _: None)
    assert everything(scope) == before


def test_a_parse_error_is_told(store: DockerImages, request_for: RequestFor) -> None:
    with pytest.raises(BuildFailed, match="unknown instruction: NONSENSE"):
        store.build(request_for("NONSENSE here"), lambda _: None)


def test_buildkit_syntax_is_told_as_such(store: DockerImages, request_for: RequestFor) -> None:
    with pytest.raises(BuildFailed) as caught:
        store.build(request_for("RUN --mount=type=cache,target=/x true"), lambda _: None)
    assert "classic builder" in str(caught.value.hint)


def test_a_missing_dockerfile_is_told(store: DockerImages, request_for: RequestFor) -> None:
    request = request_for()
    (request.context / "Dockerfile").unlink()
    with pytest.raises(BuildFailed, match="no readable Dockerfile"):
        store.build(request, lambda _: None)


def test_a_context_that_there_is_no_room_to_pack_is_told(
    store: DockerImages, request_for: RequestFor, scope: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.TemporaryFile", partial(open, "/dev/full", "r+b", buffering=0))
    with pytest.raises(BuildFailed, match="cannot be packed"):
        store.build(request_for("COPY data /data", base="scratch"), lambda _: None)
    assert everything(scope) == (set(), set())


def test_a_build_that_takes_too_long_is_ended_and_leaves_nothing(
    store: DockerImages, request_for: RequestFor, scope: str
) -> None:
    with pytest.raises(BuildFailed, match="longer than 4 s"):
        store.build(request_for("RUN echo made > /made", "RUN sleep 60", timeout=4.0), lambda _: None)
    assert everything(scope) == (set(), set())


@pytest.fixture
def interruptible() -> Iterator[None]:
    """SIGINT raises, also where this was started in the background of a shell, which has it ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
def test_an_interrupted_build_leaves_nothing(store: DockerImages, request_for: RequestFor, scope: str) -> None:
    def interrupt(line: str) -> None:
        if line.startswith("Step") and "sleep" in line:
            threading.Timer(1.5, os.kill, (os.getpid(), signal.SIGINT)).start()

    with pytest.raises(KeyboardInterrupt):
        store.build(request_for("RUN echo made > /made", "RUN sleep 60"), interrupt)
    assert everything(scope) == (set(), set())


def test_what_a_killed_build_leaves_is_known_by_its_labels_and_goes(
    store: DockerImages, request_for: RequestFor, scope: str, tmp_path: Path
) -> None:
    request = request_for("RUN echo made > /made", "RUN sleep 60")
    script = tmp_path / "build.py"
    script.write_text(
        "import pickle, sys\nfrom release.image.docker import DockerImages\n"
        "DockerImages().build(pickle.load(open(sys.argv[1], 'rb')), lambda line: print(line, flush=True))\n"
    )
    import pickle

    (tmp_path / "request").write_bytes(pickle.dumps(request))
    with subprocess.Popen(
        [sys.executable, str(script), str(tmp_path / "request")], stdout=subprocess.PIPE, text=True
    ) as build:
        assert build.stdout is not None
        for line in build.stdout:
            if "sleep" in line:
                break
        deadline = time.monotonic() + 60
        while not everything(scope)[1] and time.monotonic() < deadline:
            time.sleep(0.05)  # the step is announced before there is a container for it
        build.kill()
    deadline = time.monotonic() + 60
    while everything(scope)[1] and time.monotonic() < deadline:
        time.sleep(0.1)  # the daemon notices that its client has gone
    assert everything(scope)[0] and store.leftovers(scope)
    assert store.find(scope, request.release) is None
    for leftover in store.leftovers(scope):
        store.discard(leftover)
    assert everything(scope) == (set(), set())


def staged(what: str) -> tuple[str, ...]:
    return (f"RUN echo {what} > /stage", "FROM scratch", "COPY --from=0 /stage /stage", "COPY data /data")


def test_the_stages_of_the_last_build_are_kept_for_the_next_one(
    store: DockerImages, request_for: RequestFor, scope: str
) -> None:
    store.build(request_for(*staged("one")), lambda _: None)
    assert store.leftovers(scope) == []
    lines: list[str] = []
    store.build(request_for(*staged("one"), tag="v1.1.0"), lines.append)
    assert lines[lines.index(next(line for line in lines if "RUN echo one" in line)) + 1] == " ---> Using cache"


def kept(scope: str) -> list[str]:
    return [tag for row in Daemon().api.images(name=f"release-cache/{scope}") for tag in row["RepoTags"]]


def test_stages_that_the_last_build_did_not_use_go_and_all_go_once_forgotten(
    store: DockerImages, request_for: RequestFor, scope: str
) -> None:
    first = store.build(request_for(*staged("one")), lambda _: None)
    before = kept(scope)
    second = store.build(request_for(*staged("two"), tag="v1.1.0"), lambda _: None)
    assert len(before) == len(kept(scope)) == 1 and before != kept(scope)
    store.forget_cache(scope)
    for leftover in store.leftovers(scope):
        store.discard(leftover)
    assert kept(scope) == store.leftovers(scope) == []
    for image in (first, second):
        assert store.get(image.id) is not None
        store.remove(image)
    assert everything(scope) == (set(), set())


def test_removing_an_image_takes_its_layers_and_spares_others(store: DockerImages, build: Build, scope: str) -> None:
    first = build("RUN echo shared > /shared", "RUN echo one > /one")
    second = build("RUN echo shared > /shared", "RUN echo two > /two", tag="v1.0.1")
    store.remove(first)
    store.remove(first)
    assert store.get(first.id) is None and store.get(second.id) is not None
    store.remove(second)
    assert everything(scope) == (set(), set())


def test_a_second_tag_that_somebody_gave_keeps_the_image(store: DockerImages, build: Build, scope: str) -> None:
    image = build("COPY data /data", base="scratch")
    store.tag(image.id, f"{scope}-theirs", "mine")
    store.remove(image)
    assert store.get(f"{scope}-theirs:mine") is not None
    Daemon().api.remove_image(f"{scope}-theirs:mine")
