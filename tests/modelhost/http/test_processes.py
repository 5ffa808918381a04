"""Several processes behind one port: whichever answers a scrape, it tells of all of them, and adds nothing up."""

from __future__ import annotations

import errno
import gc
import math
import os
import signal
import socket
import threading
from contextlib import suppress
from pathlib import Path

import pytest
import requests
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.parser import text_string_to_metric_families

from modelhost.http import listening, processes
from modelhost.http.exposition import packed, together
from modelhost.http.hearing import read_line
from modelhost.http.processes import Processes
from tests.modelhost.host.service import PAIR, Service
from tests.modelhost.http.band import band
from tests.modelhost.serving.workshop import eventually

Samples = dict[str, dict[str, float]]  # name → process → value, added up over all other labels


def _scrape(url: str) -> Samples:
    found: Samples = {}
    with requests.get(f"{url}/metrics", timeout=60) as answer:
        for family in text_string_to_metric_families(answer.text):
            for each in family.samples:
                of = found.setdefault(each.name, {})
                process = each.labels.get("process", "")
                of[process] = of.get(process, 0.0) + each.value
    return found


def _whole(url: str) -> Samples:
    """A scrape for which both processes answered in time, which on a busy machine one may not."""
    found: Samples = {}

    def is_whole() -> bool:
        found.clear()
        found.update(_scrape(url))
        return list(found.get("modelhost_process_up", {}).values()) == [1.0, 1.0]

    eventually(is_whole)
    return found


def _up(url: str) -> set[str]:
    return {process for process, value in _scrape(url).get("modelhost_process_up", {}).items() if value}


def test_each_of_two_workers_answers_a_scrape_for_both(tmp_path: Path) -> None:
    service = Service(tmp_path)
    service.pair("1.0.0")
    service.write(PAIR)
    with band(service, 2) as site:
        url = site.url
        eventually(lambda: list(_scrape(url).get("modelhost_ready", {}).values()) == [1.0, 1.0])
        for _ in range(30):
            with requests.get(f"{url}/say", timeout=60) as answer:
                assert answer.json()[1] == "model 1.0.0"
        scrapes = [_whole(url) for _ in range(8)]
        assert [sum(found["modelhost_requests_total"].values()) for found in scrapes] == [30.0] * 8
        processes = set(scrapes[0]["modelhost_process_up"])
        assert len(processes) == 2
        for found in scrapes:
            assert found["modelhost_requests_total"] == scrapes[0]["modelhost_requests_total"]
            assert found["modelhost_ready"] == dict.fromkeys(processes, 1.0)
        killed = processes.pop()
        os.kill(int(killed), signal.SIGKILL)
        eventually(lambda: len(_up(url)) == 2 and killed not in _up(url))
        assert killed not in _whole(url)["modelhost_requests_total"]


def test_a_process_alone_names_none(tmp_path: Path) -> None:
    service = Service(tmp_path)
    service.pair("1.0.0")
    service.write(PAIR)
    with band(service, 1) as site:
        url = site.url
        eventually(lambda: _answers(url))
        assert _scrape(url)["modelhost_ready"] == {"": 1.0}


def _answers(url: str) -> bool:
    try:
        return requests.get(f"{url}/v2/health/ready", timeout=60).ok
    except requests.ConnectionError:
        return False


def test_a_silent_process_is_named_a_dead_one_is_not_and_one_with_a_port_of_its_own_is_not_asked(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "a folder whose name is longer than any socket's may be" / ("x" * 100)
    here = Processes(folder, lambda: b"here", is_beside=lambda process: process != "3")
    here.start()
    (name,) = [path.name for path in folder.iterdir()]
    host = name.split("-")[0]
    handle = os.open(folder, os.O_RDONLY)
    bound = {process: socket.socket(socket.AF_UNIX) for process in ("1", "2", "3")}
    try:
        for process, each in bound.items():
            each.bind(f"/proc/self/fd/{handle}/{host}-{process}-0.sock")
            each.listen()
        bound["1"].close()
        assert here.others(0.2) == {"2": b""}
        assert not (folder / f"{host}-1-0.sock").exists()
        assert (folder / f"{host}-3-0.sock").exists()
    finally:
        os.close(handle)
        for each in bound.values():
            each.close()
        here.close()
    assert not (folder / name).exists()
    again = Processes(folder, lambda: b"")
    again.start()
    assert len(list(folder.iterdir())) == 1, "what is dead was swept"
    again.close()


def test_one_that_begins_takes_another_that_begins_for_dead_only_when_that_takes_too_long(tmp_path: Path) -> None:
    first = Processes(tmp_path, lambda: b"")
    first.start()
    (name,) = [path.name for path in tmp_path.iterdir()]
    fresh = tmp_path / f"{name.split('-')[0]}-1-0.new"
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(fresh))  # and does not listen yet
        for old, stays in ((0, True), (3600, False)):
            os.utime(fresh, (fresh.stat().st_mtime - old,) * 2)
            second = Processes(tmp_path, lambda: b"")
            second.start()
            second.close()
            assert fresh.exists() is stays
    first.close()


def test_a_folder_that_cannot_be_written_any_more_keeps_nobody_from_being_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path, missing_ok: bool = False) -> None:
        raise OSError(errno.EROFS, "Read-only file system", str(path))

    here = Processes(tmp_path, lambda: b"", is_beside=lambda process: True)
    here.start()
    (own,) = tmp_path.iterdir()
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(own.with_name(f"{own.name.split('-')[0]}-1-0.sock")))
    with monkeypatch.context() as broken:  # root writes everywhere, so that no mode says this
        broken.setattr(Path, "unlink", refuse)
        assert not here.beside(0.2) and not here.conversations("reload")
    here.close()


def test_one_that_is_silent_takes_nobody_elses_time(tmp_path: Path) -> None:
    here = Processes(tmp_path, lambda: b"", is_beside=lambda process: True)
    here.start()
    (own,) = tmp_path.iterdir()
    host = own.name.split("-")[0]

    def answer(listening: socket.socket) -> None:
        for _ in range(2):
            asker, _ = listening.accept()
            with asker:
                asker.sendall(read_line(asker).encode() + b" is answered")

    with socket.socket(socket.AF_UNIX) as silent, socket.socket(socket.AF_UNIX) as well:
        for number, each in enumerate((silent, well), 1):  # the silent one is asked first
            each.bind(str(tmp_path / f"{host}-{number}-0.sock"))
            each.listen()
        thread = threading.Thread(target=answer, args=(well,))
        thread.start()
        assert here.beside(5.0) == {"1": False, "2": True}
        assert here.others(5.0) == {"1": b"", "2": b"show is answered"}
        thread.join()
    here.close()


def test_one_in_another_container_is_none_of_these_though_host_and_number_are_called_alike(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = Processes(tmp_path, lambda: b"", is_beside=lambda process: True)
    here.start()
    (own,) = tmp_path.iterdir()
    other = tmp_path / f"{own.name.split('-')[0]}-1-0.sock"
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(other))
        bound.listen()
        assert here.beside(0.2) == {"1": False}
        # what the kernel says of a number that is in no space of this process
        monkeypatch.setattr(processes, "_credentials", lambda other: (0, os.getuid()))
        assert not here.beside(0.2) and not here.others(0.2) and not here.conversations("reload")
        assert other.exists(), "it is somebody's"
    here.close()


def test_a_socket_that_is_a_file_by_the_time_it_is_looked_at_leaves_no_descriptor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as bound, (tmp_path / "file").open("w"):
        bound.bind(("127.0.0.1", 0))
        bound.listen()
        assert listening.answers_here(str(os.getpid()))
        monkeypatch.setattr(listening, "_inode", lambda link: 1)
        gc.collect()
        before = _descriptors()
        assert listening.answers_here(str(os.getpid()))
        assert _descriptors() <= before, "what other tests left may be closed meanwhile"


def _descriptors() -> set[tuple[str, int]]:
    """Numbers, and what they stand for, of all that this process has open."""
    found = set()
    for path in Path("/proc/self/fd").iterdir():
        with suppress(OSError):  # that of the listing itself
            found.add((path.name, path.stat().st_ino))
    return found


def test_what_is_put_together_is_the_metrics_of_each_with_its_name() -> None:
    def of(value: float) -> CollectorRegistry:
        registry = CollectorRegistry()
        Counter("answers", "Answers", ("kind",), registry=registry).labels("good").inc(value)
        Gauge("limit", "Infinite at times", registry=registry).set(math.inf)
        Histogram("seconds", "Seconds", buckets=(1.0,), registry=registry).observe(value)
        return registry

    text = together({"7": packed(of(2).collect()), "8": packed(of(3).collect()), "9": b""}).decode()
    lines = text.splitlines()
    assert 'answers_total{kind="good",process="7"} 2.0' in lines
    assert 'answers_total{kind="good",process="8"} 3.0' in lines
    assert 'limit{process="8"} +Inf' in lines
    assert 'seconds_bucket{le="+Inf",process="7"} 1.0' in lines
    up = [line.removeprefix("modelhost_process_up") for line in lines if line.startswith("modelhost_process_up")]
    assert up == ['{process="7"} 1.0', '{process="8"} 1.0', '{process="9"} 0.0']
    assert lines.count("# TYPE answers_total counter") == 1
    assert list(text_string_to_metric_families(text))
