"""A real Distribution registry on a free loopback port, with its storage in a folder of the test."""

from __future__ import annotations

import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

import yaml

from tests.support.ports import free_port


class RegistryServer:
    """Debian's docker-registry. `users` maps names to passwords; without any it asks nobody who they are."""

    def __init__(self, folder: Path, users: dict[str, str] | None = None, *, readonly: bool = False) -> None:
        self.port = free_port()
        self.host = f"127.0.0.1:{self.port}"
        self._folder = folder
        self._users = users or {}
        self._readonly = readonly
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> RegistryServer:
        self._folder.mkdir(parents=True, exist_ok=True)
        config = self._folder / "config.yml"
        config.write_text(yaml.safe_dump(self._configuration()))
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(["docker-registry", "serve", str(config)], stdout=log, stderr=log)
        self._await()
        return self

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def _configuration(self) -> dict[str, object]:
        maintenance = {"readonly": {"enabled": self._readonly}}
        storage = {"filesystem": {"rootdirectory": str(self._folder / "storage")}, "maintenance": maintenance}
        config: dict[str, object] = {"version": 0.1, "storage": storage, "http": {"addr": self.host}}
        if self._users:
            passwords = self._folder / "htpasswd"
            passwords.unlink(missing_ok=True)
            for number, (name, password) in enumerate(self._users.items()):
                flags = "-Bbc" if number == 0 else "-Bb"
                subprocess.run(["htpasswd", flags, str(passwords), name, password], check=True, capture_output=True)
            config["auth"] = {"htpasswd": {"realm": "test", "path": str(passwords)}}
        return config

    def _await(self) -> None:
        deadline = time.monotonic() + 60
        while True:
            try:
                urllib.request.urlopen(f"http://{self.host}/v2/", timeout=5).close()
                return
            except urllib.error.HTTPError:
                return  # 401: it is there
            except OSError:
                if time.monotonic() > deadline:
                    raise AssertionError((self._folder / "log").read_text()) from None
                time.sleep(0.05)
