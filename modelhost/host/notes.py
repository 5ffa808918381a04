"""What leaves the process about requests and switches: the record of requests, and notifications. Follows a reload."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from modelhost.config.model import RecordSection, Settings
from modelhost.errors import ConfigError
from modelhost.host.reloading import Flip
from modelhost.host.request import Request
from modelhost.host.watch import Answered
from modelhost.routing.record import Recorder, RequestRecord, input_hash, preview
from modelhost.routing.rotation import RotatingLines
from modelhost.serving.events import FOR_PEOPLE, through_apprise
from modelhost.serving.serving import Serving

SERVICE = "modelhost"


def service_name(settings: Settings, folder: Path) -> str:
    """What people call the service: its `name`, else its cluster's group, else the folder of its configuration."""
    group = settings.cluster.group if settings.cluster else ""
    return settings.name or group or folder.name or SERVICE


class Notes:
    """Records each request, where the configuration wants that; tells of each switch. `folder`: that of the
    configuration."""

    def __init__(self, serving: Serving, settings: Settings, folder: Path) -> None:
        self._serving = serving
        self._folder = folder
        self._preview = 0
        self._recorder: Recorder | None = None
        self._dropped = 0  # by the recorders before
        self._unsubscribe: Callable[[], None] = lambda: None
        _demand_file(settings.http.record)
        self._take(settings)

    @property
    def recorder(self) -> Recorder | None:
        """The record of requests, None where none is kept."""
        return self._recorder

    @property
    def dropped(self) -> int:
        """How many requests are not in the record that should be."""
        recorder = self._recorder
        return self._dropped + (recorder.dropped if recorder else 0)

    def record(self, request: Request, answered: Answered) -> None:
        """Hands one request over to the record. Never waits, never raises."""
        recorder, text = self._recorder, request.input
        if recorder is None:
            return
        recorder.record(
            RequestRecord(
                at=datetime.now(UTC),
                id=request.id,
                component=answered.component,
                version=answered.version,
                variant=answered.variant,
                reason=request.reason,
                outcome="failed" if answered.failed else "answered",
                versions=request.versions,
                input_hash=None if text is None else input_hash(text),
                preview=None if text is None else preview(text, self._preview),
                confidence=request.confidence,
                latency_ms=answered.seconds * 1000,
            )
        )

    def prepare(self, new: Settings, old: Settings) -> Flip:
        """A change to other settings. Raises ConfigError for a record that cannot be written."""
        if new.http.record != old.http.record:
            _demand_file(new.http.record)
        return Flip(lambda: self._take(new, old), lambda: self._take(old, new))

    def close(self) -> None:
        """Writes what waits."""
        self._unsubscribe()
        if self._recorder is not None:
            self._recorder.close()

    def _take(self, new: Settings, old: Settings | None = None) -> None:
        if old is None or new.http.record != old.http.record:
            before, self._recorder = self._recorder, _recorder(new.http.record)
            self._preview = new.http.record.preview if new.http.record else 0
            if before is not None:
                before.close()
                self._dropped += before.dropped
        if old is None or (new.notify, new.name) != (old.notify, old.name):
            self._unsubscribe()
            urls = [each.get_secret_value() for each in new.notify]
            if urls:
                send = through_apprise(urls, service_name(new, self._folder))
                self._unsubscribe = self._serving.events.subscribe(send, FOR_PEOPLE)
            else:
                self._unsubscribe = lambda: None


def _demand_file(section: RecordSection | None) -> None:
    """Makes the file and folders on the way, so that nobody learns weeks later that nothing was recorded."""
    if section is None:
        return
    lines = RotatingLines(section.path, section.max_size, section.keep)
    try:
        lines.open()
    except OSError as error:
        what = f"http.record.path: {section.path} cannot be written: {error.strerror}"
        raise ConfigError(what, "name a file that can be") from error
    finally:
        lines.close()


def _recorder(section: RecordSection | None) -> Recorder | None:
    return None if section is None else Recorder(section.path, section.max_size, section.keep, section.queue)
