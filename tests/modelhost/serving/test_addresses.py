"""Addresses hold secrets, and what is said of one that is not reached holds none of them."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from modelhost.serving import addresses

REFUSED = "Failed to send: ann with p@ss/w0rd was refused, as was s3cr3t"


@pytest.mark.parametrize(
    "address",
    ["json://ann:p%40ss%2Fw0rd@example.org/s3cr3t", "json://example.org/s3cr3t?pass=p%40ss%2Fw0rd"],
)
def test_a_secret_that_is_written_with_escapes_is_taken_out_as_it_is_said(address: str) -> None:
    said = addresses._without_parts(REFUSED, address)
    assert said == "Failed to send: ann with … was refused, as was …"


def test_what_apprise_says_of_an_address_names_no_part_of_it() -> None:
    class Refusing(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))  # what is left unread resets the connection
            self.send_response(403)
            self.end_headers()

        def log_message(self, *args: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Refusing) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"json://ann:p%40ssw0rd@127.0.0.1:{server.server_address[1]}/s3cr3t"
        said = addresses.send(address, "title", "body", "info")
        server.shutdown()
    assert "403" in said or "Forbidden" in said
    assert "p@ssw0rd" not in said and "s3cr3t" not in said and "127.0.0.1" not in said
