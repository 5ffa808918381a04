"""What passes through nginx between a client and a slot, and what a client is told when nothing can."""

from __future__ import annotations

import base64
import json
import os
import shutil
import socket
import threading
import time
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from release.errors import ProxyError
from release.naming import Slot
from release.proxy.base import Traffic
from release.proxy.nginx import ManagedNginx
from tests.proxy.conftest import Install, awaited, background, fetch

GREEN, BLUE = Traffic(1000, "d"), Traffic(0, "d")


def connect(url: str) -> socket.socket:
    parts = urlsplit(url)
    return socket.create_connection((parts.hostname or "", parts.port or 80), timeout=60)


def read_until(sock: socket.socket, ending: bytes) -> bytes:
    data = b""
    while not data.endswith(ending):
        byte = sock.recv(1)
        if not byte:
            break
        data += byte
    return data


def test_the_service_sees_the_request_as_the_client_sent_it(proxy: ManagedNginx) -> None:
    said = fetch(proxy.public_url, "/a%20b/%E4%BD%A0?q=1&q=%2F", "POST", b"x" * 7, Host="shop.example").json
    assert (said["host"], said["method"], said["path"], said["bytes"]) == (
        "shop.example",
        "POST",
        "/a%20b/%E4%BD%A0",
        7,
    )
    sent = said["headers"]
    assert sent["x-forwarded-for"] == sent["x-real-ip"] == "127.0.0.1"
    assert (sent["x-forwarded-proto"], sent["x-forwarded-host"]) == ("http", "shop.example")
    assert "upgrade" not in sent


def test_a_proxy_in_front_is_believed_about_the_scheme_and_extended_about_the_path(proxy: ManagedNginx) -> None:
    sent = fetch(proxy.public_url, X_Forwarded_Proto="https", X_Forwarded_For="203.0.113.9").json["headers"]
    assert (sent["x-forwarded-proto"], sent["x-forwarded-for"]) == ("https", "203.0.113.9, 127.0.0.1")


def test_a_sane_request_id_is_kept_and_another_replaced(proxy: ManagedNginx) -> None:
    def seen(**headers: str) -> str:
        return str(fetch(proxy.public_url, **headers).json["headers"]["x-request-id"])

    assert seen(X_Request_Id="trace-1/a.b") == "trace-1/a.b"
    assert seen(X_Request_Id='bad"id') != 'bad"id'
    assert len({seen() for _ in range(20)}) == 20


def test_server_sent_events_arrive_one_by_one_and_unasked(proxy: ManagedNginx) -> None:
    with connect(proxy.public_url) as sock:
        sock.sendall(b"GET /events?n=4&s=0.1 HTTP/1.1\r\nHost: x\r\n\r\n")
        read_until(sock, b"\r\n\r\n")
        for number in range(4):
            assert b"data: blue %d" % number in read_until(sock, b"\n\n")
    with connect(proxy.public_url) as sock:  # the next event is an hour away: nothing pushes this one through
        sock.sendall(b"GET /events?n=2&s=3600 HTTP/1.1\r\nHost: x\r\n\r\n")
        read_until(sock, b"\r\n\r\n")
        assert b"data: blue 0" in read_until(sock, b"\n\n")


def websocket(url: str) -> socket.socket:
    sock = connect(url)
    key = base64.b64encode(os.urandom(16))
    sock.sendall(
        b"GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    )
    sock.sendall(b"Sec-WebSocket-Key: " + key + b"\r\n\r\n")
    assert b" 101 " in read_until(sock, b"\r\n\r\n").split(b"\r\n")[0]
    return sock


def said(sock: socket.socket, text: bytes | None = None) -> bytes:
    """The next message, after sending one (masked with zeros) where there is one to send."""
    if text is not None:
        sock.sendall(bytes([0x81, 0x80 | len(text), 0, 0, 0, 0]) + text)
    _, length = sock.recv(1), sock.recv(1)[0]
    return read_exactly(sock, length)


def read_exactly(sock: socket.socket, length: int) -> bytes:
    data = b""
    while len(data) < length:
        data += sock.recv(length - len(data))
    return data


def test_a_websocket_passes_and_stays_on_its_slot_across_a_switch(proxy: ManagedNginx) -> None:
    with websocket(proxy.public_url) as sock:
        assert said(sock) == b"blue"
        proxy.switch.set(GREEN)
        assert said(sock, b"still here?") == b"still here?"
        with websocket(proxy.public_url) as other:
            assert said(other) == b"green"


def test_an_event_stream_in_flight_stays_on_its_slot_across_a_switch(proxy: ManagedNginx) -> None:
    with connect(proxy.public_url) as sock:
        sock.sendall(b"GET /events?n=4&s=0.2 HTTP/1.1\r\nHost: x\r\n\r\n")
        read_until(sock, b"\r\n\r\n")
        assert b"blue 0" in read_until(sock, b"\n\n")
        proxy.switch.set(GREEN)
        assert fetch(proxy.public_url).json["answer"] == "green"
        assert [read_until(sock, b"\n\n").count(b"data: blue") for _ in range(3)] == [1, 1, 1]


def test_an_upload_of_twenty_megabytes_passes_and_a_larger_one_is_refused(proxy: ManagedNginx) -> None:
    assert fetch(proxy.public_url, "/", "POST", bytes(20 << 20)).json["bytes"] == 20 << 20
    with connect(proxy.public_url) as sock:
        sock.sendall(f"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: {(20 << 20) + 1}\r\n\r\n".encode())
        assert b" 413 " in read_until(sock, b"\r\n")


def test_an_upload_begun_before_a_switch_ends_on_the_slot_it_began_on(proxy: ManagedNginx) -> None:
    with connect(proxy.public_url) as sock:
        sock.sendall(
            b"POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 400000\r\nExpect: 100-continue\r\n\r\n"
        )
        assert b" 100 " in read_until(sock, b"\r\n\r\n")  # it has chosen the slot, and reads
        sock.sendall(bytes(200000))
        proxy.switch.set(GREEN)
        sock.sendall(bytes(200000))
        answer = b"".join(iter(lambda: sock.recv(65536), b""))
    assert b" 200 " in answer.split(b"\r\n")[0]
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["answer"] == "blue"


def test_nothing_is_served_before_traffic_was_ever_set_and_after_it_was_cleared(proxy: ManagedNginx) -> None:
    proxy.switch.clear()
    assert proxy.switch.get() is None
    assert fetch(proxy.public_url).status == 503
    proxy.switch.set(GREEN)
    assert fetch(proxy.public_url).json["answer"] == "green"


def test_a_dangling_link_is_answered_503(proxy: ManagedNginx) -> None:
    proxy.switch.set(GREEN)
    assert fetch(proxy.public_url).status == 200
    (proxy.traffic / "shares").rename(proxy.traffic / "away")
    assert fetch(proxy.public_url).status == 503
    with pytest.raises(ProxyError, match="is not there"):
        proxy.switch.get()
    with pytest.raises(ProxyError, match="answers 404 about the flag tree"):
        proxy.verify(GREEN, timeout=0.2)


def test_a_tree_that_the_workers_cannot_read_is_answered_503_and_named(proxy: ManagedNginx) -> None:
    if os.geteuid() != 0:
        pytest.skip("without root, nginx's workers read what its owner reads")
    proxy.switch.set(GREEN)
    (proxy.traffic / "shares" / "d" / "1000").chmod(0o700)
    assert fetch(proxy.public_url).status == 503
    with pytest.raises(ProxyError, match="flag tree"):
        proxy.verify(GREEN, timeout=0.2)
    assert proxy.switch.get() == GREEN, "root still reads it: only nginx can tell"


def test_a_slot_where_nobody_listens_is_answered_502(install: Install, backends: dict[str, int]) -> None:
    from tests.proxy.conftest import free_port, manifest_of

    proxy = install(manifest_of(backends | {"green": free_port()}))
    proxy.switch.set(GREEN)
    assert fetch(proxy.public_url).status == 502
    proxy.switch.set(BLUE)
    assert fetch(proxy.public_url).json["answer"] == "blue"


def test_both_listeners_tell_the_slot_of_every_share(proxy: ManagedNginx) -> None:
    for green in (0, 1, 50, 500, 999, 1000):
        proxy.verify(proxy.switch.set(Traffic(green, "d")).after)
    with pytest.raises(ProxyError, match="reads a share of 1000"):
        proxy.verify(Traffic(0, "d"), timeout=0.1)
    with pytest.raises(ProxyError, match="set by d"):
        proxy.verify(Traffic(1000, "e"), timeout=0.1)


def test_the_public_listener_tells_strangers_nothing(proxy: ManagedNginx) -> None:
    assert fetch(proxy.public_url, "/.release/slot").json["slot"] == "blue"
    assert fetch(proxy.public_url, "/.release/slot", X_Forwarded_For="203.0.113.9").status == 404


def answers(proxy: ManagedNginx, count: int, **headers: str) -> list[str]:
    return [fetch(proxy.public_url, **headers).json["answer"] for _ in range(count)]


def test_a_canary_of_half_the_traffic_gets_about_half_of_it(proxy: ManagedNginx) -> None:
    proxy.switch.set(Traffic(500, "d"))
    assert 60 < answers(proxy, 200).count("green") < 140  # beyond it by chance: 1 in 10⁸


@pytest.mark.parametrize(
    ("sticky", "header"),
    [("header:X-User", "X-User"), ("cookie:session", "session"), ("cookie:my-session", "my-session")],
)
def test_a_client_with_a_key_stays_on_its_slot(install: Install, sticky: str, header: str) -> None:
    proxy = install(sticky=sticky)
    proxy.switch.set(Traffic(500, "d"))

    def keyed(name: str) -> set[str]:
        sent = {"Cookie": f"a=1; {header}={name}"} if sticky.startswith("cookie") else {header: name}
        return set(answers(proxy, 5, **sent))

    slots = [keyed(f"user-{number}") for number in range(20)]
    assert all(len(seen) == 1 for seen in slots)
    assert set().union(*slots) == {"blue", "green"}
    assert set(answers(proxy, 60)) == {"blue", "green"}, "clients without a key were all sent to one slot"


def test_a_client_is_kept_by_its_address(install: Install) -> None:
    proxy = install(sticky="address")
    proxy.switch.set(Traffic(500, "d"))
    assert len(set(answers(proxy, 20))) == 1


def log_of(proxy: ManagedNginx) -> list[dict[str, object]]:
    return [json.loads(line) for line in proxy.access_log.read_text(errors="replace").splitlines()]


def test_the_access_log_is_json_that_says_where_each_request_went(install: Install) -> None:
    proxy = install(sticky="header:X-User")
    fetch(proxy.public_url, "/first?secret=1", X_Request_Id="one")
    awaited(lambda: len(log_of(proxy)) == 1)  # each may be another worker's line
    proxy.switch.set(Traffic(500, "d"))
    fetch(proxy.public_url, "/second", "POST", b"{}", X_User="wilhelmina", X_Model_Version="v1.1.0")
    awaited(lambda: len(log_of(proxy)) == 2)
    proxy.switch.clear()
    fetch(proxy.public_url, "/third")
    awaited(lambda: len(log_of(proxy)) == 3)
    first, second, third = log_of(proxy)
    assert (first["path"], first["request_id"], first["slot"], first["bucket"]) == ("/first", "one", "blue", "")
    assert (first["status"], first["upstream_status"]) == ("200", "200")
    assert str(first["upstream_addr"]).startswith("127.0.0.1:")
    assert 0 <= float(str(first["upstream_header_time"])) <= float(str(first["upstream_response_time"]))
    assert abs(float(str(first["time"])) - time.time()) < 600
    assert (second["method"], second["version"]) == ("POST", "v1.1.0")
    assert 0 <= int(str(second["bucket"])) < 1000 and second["client"]
    assert (third["status"], third["slot"], third["upstream_status"]) == ("503", "none", "")
    assert "wilhelmina" not in json.dumps(second)  # no word that an id in hex could hold


def test_the_access_log_parses_whatever_bytes_a_client_sends(proxy: ManagedNginx) -> None:
    with connect(proxy.public_url) as sock:
        sock.sendall(b'GET /\xff\xfe"\\\x01 HTTP/1.1\r\nHost: x\r\nX-Request-Id: \xff"\r\nX-Model-Version: "\xc3\r\n')
        sock.sendall(b"Connection: close\r\n\r\n")
        sock.recv(100)
    awaited(lambda: len(log_of(proxy)) == 1)
    with connect(proxy.public_url) as sock:
        sock.sendall(b"nonsense\r\n\r\n")
        sock.recv(100)
    awaited(lambda: len(log_of(proxy)) == 2)
    fetch(proxy.public_url, "/%FF%22")
    awaited(lambda: len(log_of(proxy)) == 3)
    assert [row["status"] for row in log_of(proxy)] == ["400", "400", "200"]


def test_requests_are_answered_while_shares_are_prepared_and_forgotten(proxy: ManagedNginx) -> None:
    seen: set[int] = set()
    with background(lambda: seen.add(fetch(proxy.public_url).status)):
        for number in range(10):
            owner = f"d-{number}"
            proxy.switch.prepare(owner, [0, 10, 100, 500, 1000])
            proxy.switch.set(Traffic(100, owner))
            proxy.switch.forget([])
    assert seen == {200}


def test_a_slow_backend_does_not_hold_up_a_switch(install: Install, backends: dict[str, int]) -> None:
    from tests.proxy.conftest import manifest_of

    with socket.create_server(("127.0.0.1", 0)) as slow:
        proxy = install(manifest_of(backends | {"blue": slow.getsockname()[1]}))
        seen: list[bytes] = []
        thread = threading.Thread(target=lambda: seen.append(fetch(proxy.public_url).body))
        thread.start()
        slow.settimeout(60)
        with slow.accept()[0] as asked:  # the request is on its way
            proxy.switch.set(Traffic.all_to(Slot.GREEN, "d"))
            assert fetch(proxy.public_url).json["answer"] == "green"
            assert seen == []
            asked.recv(65536)
            asked.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\nslow")
            thread.join()
    assert seen == [b"slow"]


def test_the_state_directory_may_have_a_space_in_its_name(install: Install, state: Path) -> None:
    proxy = install(at=state / "with space")
    proxy.verify(proxy.switch.set(Traffic(50, "d")).after)


def test_a_flag_tree_that_was_lost_is_answered_503_until_traffic_is_set_anew(proxy: ManagedNginx) -> None:
    shutil.rmtree(proxy.traffic)
    assert fetch(proxy.public_url).status == 503
    proxy.switch.set(GREEN)
    proxy.verify(GREEN)
    assert fetch(proxy.public_url).json["answer"] == "green"
