"""The tiny service itself: one file, standard library only, told how to behave by `behaviour.json` beside it and the
variable BEHAVIOUR.

It is copied into the repositories that tests release; it imports nothing from this project.
"""

import hashlib
import json
import os
import pathlib
import signal
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

HERE = pathlib.Path(__file__).parent
BEHAVIOUR = (
    {
        "version": "0",  # told by /version, and in the header X-Version of every answer
        "health": 200,  # status of /health; 0 closes the connection without an answer
        "ready_after": 0.0,  # seconds from the start during which /health answers 503
        "crash": False,  # leave with exit code 3 before listening
        "die_after": 0.0,  # seconds from the start after which it leaves with exit code 4; 0: never
        "die_after_requests": 0,  # requests after which it leaves; /health does not count; 0: never
        "error_share": 0.0,  # share of the work requests answered 500, spread evenly
        "delay": 0.0,  # seconds that every work request takes
        "noise": 0.0,  # share of the reference's words that a translation gets wrong
        "seed": 0,  # which words those are
        "deaf": False,  # ignore SIGTERM
        "eat": 0,  # megabytes of memory to take at the start
        "log": [],  # lines for stdout at the start
        "openapi": None,  # replaces /openapi.json
    }
    | json.loads((HERE / "behaviour.json").read_text())
    | json.loads(os.environ.get("BEHAVIOUR", "{}"))
)
STARTED = time.monotonic()
CASES = HERE / "evaluation" / "cases.jsonl"
REFERENCES = {row["source"]: row["reference"] for row in map(json.loads, CASES.read_text().splitlines())}
OPENAPI = {
    "openapi": "3.1.0",
    "info": {"title": "tiny", "version": BEHAVIOUR["version"]},
    "paths": {
        "/translate": {
            "post": {
                "requestBody": {
                    "required": True,
                    "content": {
                        "application/json": {
                            "schema": {
                                "type": "object",
                                "required": ["text"],
                                "properties": {"text": {"type": "string"}},
                            }
                        }
                    },
                },
                "responses": {
                    "200": {
                        "description": "the translation",
                        "content": {
                            "application/json": {
                                "schema": {
                                    "type": "object",
                                    "required": ["translation", "version"],
                                    "properties": {
                                        "translation": {"type": "string"},
                                        "version": {"type": "string"},
                                    },
                                }
                            }
                        },
                    }
                },
            }
        },
        "/version": {"get": {"responses": {"200": {"description": "which release this is"}}}},
    },
}


def translate(text):
    """The reference with a share of its words replaced, the same every time; another text comes back upper case."""
    if text not in REFERENCES:
        return text.upper()
    words = REFERENCES[text].split(" ")
    for index in range(len(words)):
        draw = hashlib.sha256(f"{BEHAVIOUR['seed']}/{text}/{index}".encode()).digest()
        if int.from_bytes(draw[:4], "big") / 2**32 < BEHAVIOUR["noise"]:
            words[index] = draw.hex()[:6]
    return " ".join(words)


class Counter:
    def __init__(self):
        self.lock = threading.Lock()
        self.total = self.errors = self.busy = 0

    def work(self):
        """Counts one work request; True where this is one that has to fail."""
        with self.lock:
            self.total += 1
            fails = int(self.total * BEHAVIOUR["error_share"]) > self.errors
            self.errors += fails
            last = BEHAVIOUR["die_after_requests"]
            if last and self.total > last:
                os._exit(4)
            return fails


COUNTER = Counter()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1  # head and body leave together

    def log_message(self, form, *args):
        if self.path != "/health":
            sys.stdout.write(f"{self.command} {self.path} {args[1] if len(args) > 1 else ''}\n")
            sys.stdout.flush()

    begun = False

    def parse_request(self):
        """A request counts as begun once its head is here: an idle connection does not hold up the end."""
        with COUNTER.lock:
            COUNTER.busy += 1
        self.begun = True
        return super().parse_request()

    def handle_one_request(self):
        try:
            super().handle_one_request()
        finally:
            with COUNTER.lock:
                COUNTER.busy -= self.begun
            self.begun = False

    def answer(self, status, body, kind="application/json"):
        data = body if isinstance(body, bytes) else json.dumps(body, ensure_ascii=False).encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.send_header("X-Version", BEHAVIOUR["version"])
        if STOPPING.is_set():
            self.send_header("Connection", "close")
            self.close_connection = True
        self.end_headers()
        self.wfile.write(data)
        self.wfile.flush()

    def body(self):
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def work(self):
        """Waits as long as told; True where this request was answered with an error already."""
        time.sleep(BEHAVIOUR["delay"])
        if COUNTER.work():
            self.answer(500, {"detail": "broken on purpose"})
            return True
        return False

    def do_GET(self):
        path, _, query = self.path.partition("?")
        if path == "/health":
            self.health()
        elif path == "/version":
            self.answer(200, {"version": BEHAVIOUR["version"], "pid": os.getpid()})
        elif path == "/openapi.json":
            self.answer(200, BEHAVIOUR["openapi"] or OPENAPI)
        elif path == "/env":
            self.answer(200, dict(os.environ))
        elif path == "/slow":
            time.sleep(float(query or 1))
            self.answer(200, {"slept": float(query or 1), "version": BEHAVIOUR["version"]})
        elif path == "/stream":
            self.stream(int(query or 10))
        elif path in ("/echo", "/"):
            if not self.work():
                self.answer(200, {"path": self.path, "version": BEHAVIOUR["version"]})
        else:
            self.answer(404, {"detail": "no such path"})

    def do_POST(self):
        body = self.body()
        path = self.path.partition("?")[0]
        if path == "/translate":
            self.translation(body)
        elif path == "/echo":
            if not self.work():
                self.answer(200, body, self.headers.get("Content-Type", "application/octet-stream"))
        elif path == "/upload":
            digest = hashlib.sha256(body).hexdigest()
            self.answer(200, {"bytes": len(body), "sha256": digest, "version": BEHAVIOUR["version"]})
        else:
            self.answer(404, {"detail": "no such path"})

    def health(self):
        if BEHAVIOUR["health"] == 0:
            self.close_connection = True
        elif time.monotonic() - STARTED < BEHAVIOUR["ready_after"]:
            self.answer(503, {"status": "starting"})
        else:
            self.answer(BEHAVIOUR["health"], {"status": "ok" if BEHAVIOUR["health"] == 200 else "broken"})

    def translation(self, body):
        try:
            text = json.loads(body)["text"]
        except (ValueError, KeyError, TypeError):
            self.answer(422, {"detail": 'send {"text": …}'})
            return
        if not self.work():
            self.answer(200, {"translation": translate(text), "version": BEHAVIOUR["version"]})

    def stream(self, events):
        """Server-sent events, one every tenth of a second, ended by closing the connection."""
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        for number in range(events):
            self.wfile.write(f"data: {number} {BEHAVIOUR['version']}\n\n".encode())
            self.wfile.flush()
            time.sleep(0.1)
        self.close_connection = True


class Server(ThreadingHTTPServer):
    request_queue_size = 512
    daemon_threads = True


STOPPING = threading.Event()


def main():
    for line in BEHAVIOUR["log"]:
        print(line, flush=True)
    if BEHAVIOUR["crash"]:
        sys.exit(3)
    eaten = bytearray(os.urandom(1 << 20) * BEHAVIOUR["eat"])
    server = Server((os.environ.get("HOST", "0.0.0.0"), int(os.environ.get("PORT", "5000"))), Handler)

    def stop(*_):
        STOPPING.set()
        threading.Thread(target=server.shutdown).start()

    signal.signal(signal.SIGTERM, signal.SIG_IGN if BEHAVIOUR["deaf"] else stop)
    if BEHAVIOUR["die_after"]:
        threading.Timer(BEHAVIOUR["die_after"], os._exit, (4,)).start()
    print(f"tiny {BEHAVIOUR['version']} serves on {server.server_address[1]} ({len(eaten)} bytes eaten)", flush=True)
    server.serve_forever(poll_interval=0.05)
    server.server_close()
    deadline = time.monotonic() + 60  # what was begun is finished
    while COUNTER.busy and time.monotonic() < deadline:
        time.sleep(0.01)


if __name__ == "__main__":
    main()
