"""A line to a service that breaks where a test wants it to: one path gets no answer, all else is passed on."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import requests

_PASSED_ON = ("authorization", "content-type", "x-model-version")


@contextmanager
def severed(url: str, path: str) -> Iterator[str]:
    """The URL of a proxy before `url` which closes the connection on whoever asks for `path`, and passes nothing on."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.0"

        def do_GET(self) -> None:
            self._pass_on()

        def do_POST(self) -> None:
            self._pass_on()

        def _pass_on(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            if self.path == path:
                self.close_connection = True
                return
            kept = {name: value for name, value in self.headers.items() if name.lower() in _PASSED_ON}
            answer = requests.request(self.command, url + self.path, data=body, headers=kept, timeout=60)
            self.send_response(answer.status_code)
            for name, value in answer.headers.items():
                if name.lower().startswith(("content-type", "x-")):
                    self.send_header(name, value)
            self.end_headers()
            self.wfile.write(answer.content)

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()
