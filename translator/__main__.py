"""Run the service: `python -m translator`. One process; settings come from the environment, see `settings.py`."""

from __future__ import annotations

import os
import signal
import sys

from translator.cpus import default_threads

# Spinning OpenMP threads starve a small machine; both must stand in the environment before an engine is imported.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("OMP_NUM_THREADS", str(default_threads()))

import uvicorn

from translator.app import create_app
from translator.errors import StartError
from translator.model import demand_directory
from translator.settings import Settings

KEEP_ALIVE = 65  # seconds; longer than any proxy in front keeps an idle connection, or it meets a closed one
GRACE = 25  # seconds for what has begun when SIGTERM comes


def main() -> int:
    """Serve until SIGTERM or SIGINT; 0 after an orderly end, 1 when the model cannot be loaded, 2 for bad settings."""
    try:
        settings = Settings.from_environment(os.environ)
        if settings.model_dir is not None:
            demand_directory(settings.model_dir, settings.allow_pickle)
        app = create_app(settings, on_failure=lambda: stop())
    except StartError as error:
        print(f"translator: {error}", file=sys.stderr)
        return 2

    failed = False

    def stop() -> None:
        nonlocal failed
        failed = True
        server.should_exit = True

    def leave(*_: object) -> None:
        server.should_exit = True

    server = uvicorn.Server(
        uvicorn.Config(
            app,
            host=settings.host,
            port=settings.port,
            log_level=settings.log_level,
            access_log=settings.log_level == "debug",
            timeout_keep_alive=KEEP_ALIVE,
            timeout_graceful_shutdown=GRACE,
            server_header=False,
        )
    )
    # For a signal before uvicorn listens. It raises the signal again after an orderly end, which changes nothing.
    signal.signal(signal.SIGTERM, leave)
    signal.signal(signal.SIGINT, leave)
    server.run()
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
