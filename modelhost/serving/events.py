"""Who is told of a switch: the log always, in one line, and subscribers, each in a thread of its own: a slow or broken
one harms nobody."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from enum import StrEnum

from modelhost.serving import addresses
from modelhost.serving.history import Kind, Outcome, Record
from modelhost.serving.sets import spoken

_log = logging.getLogger(__name__)
_WAITING = 1000  # events that one subscriber may be behind


class Reach(StrEnum):
    """Of what an event tells. In a cluster a switch is one event as a whole, and one in each member that follows it."""

    HERE = "here"  # of this process alone
    PART = "part"  # of this process, as its part of a switch of the whole
    WHOLE = "whole"  # of the cluster, told by one process


IN_THIS_PROCESS = frozenset({Reach.HERE, Reach.PART})
FOR_PEOPLE = frozenset({Reach.HERE, Reach.WHOLE})


@dataclass(frozen=True, slots=True)
class Event:
    """A switch, or an `alert` that needs a person: nothing stable is left, a fallback serves, another set than the
    wanted one, what serves was rejected. `member`: which one of a cluster, where it concerns that one alone."""

    record: Record
    alert: bool = False
    reach: Reach = Reach.HERE
    member: str = ""

    @property
    def title(self) -> str:
        """One line, e.g. `rollback: model 1.2.0 → 1.1.0 (ann)`."""
        record = self.record
        if record.kind is Kind.MARK:
            return f"ALERT: {spoken(record.rejected)} was rejected, and serves ({record.who})"
        moves = [f"{n} {record.before.get(n, 'nothing')} → {_named(record, n)}" for n in record.changed]
        what = ", ".join(moves) or spoken(record.after)
        failed = "" if record.outcome is Outcome.SWITCHED else f" {record.outcome}"
        return f"{'ALERT: ' if self.alert else ''}{record.kind}{failed}: {what} ({record.who})"

    @property
    def body(self) -> str:
        """Why, what was rejected, and what a person should know."""
        record = self.record
        gone = [f"rejected: {name} {version}" for name, version in record.rejected.items()]
        return "\n".join(line for line in (record.why, *gone, record.error, *record.notes) if line)


Subscriber = Callable[[Event], object]


def note(event: Event) -> None:
    """One line in the log, whoever subscribed: an alert as an error, what did not happen as a warning, a switch as
    info. A member's part of what its cluster tells as a whole is no error of its own."""
    level = logging.INFO
    if event.alert:
        level = logging.WARNING if event.reach is Reach.PART else logging.ERROR
    elif event.record.outcome in (Outcome.REFUSED, Outcome.FAILED):
        level = logging.WARNING
    about = {Reach.WHOLE: "the cluster: ", Reach.PART: "here: "}.get(event.reach, "")
    member = f"member {event.member}: " if event.member else ""
    body = "; ".join(event.body.splitlines())
    _log.log(level, "%s%s%s%s", about, member, " ".join(event.title.split()), f": {body}" if body else "")


def _named(record: Record, component: str) -> str:
    return "the fallback" if component in record.fallbacks else record.after[component]


class Events:
    """Subscribers and what they have still to be told, each in the order of the switches."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._mailboxes: list[_Mailbox] = []

    def subscribe(self, subscriber: Subscriber, hears: Collection[Reach] = IN_THIS_PROCESS) -> Callable[[], None]:
        """Tells `subscriber` of every event from now on that `hears` names; returns what ends that."""
        mailbox = _Mailbox(subscriber, frozenset(hears))
        with self._lock:
            self._mailboxes.append(mailbox)

        def unsubscribe() -> None:
            with self._lock:
                if mailbox in self._mailboxes:
                    self._mailboxes.remove(mailbox)

        return unsubscribe

    def publish(self, event: Event) -> None:
        """Puts the event in the log, and in the mailboxes of those who hear such; returns at once."""
        note(event)
        for mailbox in self._of(event.reach):
            mailbox.put(event)

    def flush(self, timeout: float = 10.0, reach: Reach | None = None) -> bool:
        """Waits until all, or all who hear of `reach`, have been told; False where some have not after `timeout`
        seconds."""
        deadline = time.monotonic() + timeout
        return all(mailbox.flush(deadline - time.monotonic()) for mailbox in self._of(reach))

    def _of(self, reach: Reach | None) -> list[_Mailbox]:
        with self._lock:
            return [mailbox for mailbox in self._mailboxes if reach is None or reach in mailbox.hears]


class _Mailbox:
    """A queue, and a thread that lives while something is in it."""

    def __init__(self, subscriber: Subscriber, hears: frozenset[Reach]) -> None:
        self.hears = hears
        self._subscriber = subscriber
        self._events: queue.Queue[Event] = queue.Queue(_WAITING)
        self._idle = threading.Condition()
        self._working = False

    def put(self, event: Event) -> None:
        with self._idle:
            try:
                self._events.put_nowait(event)
            except queue.Full:
                _log.error("%r is %d events behind and misses: %s", self._subscriber, _WAITING, event.title)
                return
            if self._working:
                return
            self._working = True
        try:
            threading.Thread(target=self._work, name="modelhost-events", daemon=True).start()
        except RuntimeError:
            self._work()

    def _work(self) -> None:
        while True:
            with self._idle:
                try:
                    event = self._events.get_nowait()
                except queue.Empty:
                    self._working = False
                    self._idle.notify_all()
                    return
            try:
                self._subscriber(event)
            except Exception:
                _log.exception("a subscriber failed to hear of: %s", event.title)

    def flush(self, timeout: float) -> bool:
        with self._idle:
            return self._idle.wait_for(lambda: not self._working, max(timeout, 0))


def through_apprise(urls: Sequence[str], service: str) -> Subscriber:
    """A subscriber that sends every event to apprise URLs (chat, mail, web hooks), which hold secrets: never shown. Its
    title begins with the name of the service, and of the member where it is about one."""

    def send(event: Event) -> None:
        title = f"{service}{f', member {event.member}' if event.member else ''}: {event.title}"
        for number, url in enumerate(urls, 1):
            if why := addresses.send(url, title, event.body or event.title, _kind(event)):
                what = f"notification address {number} of {len(urls)} ({addresses.kind_of(url)})"
                _log.error("%s did not hear of: %s: %s", what, event.title, why)

    return send


def _kind(event: Event) -> str:
    """In the words of apprise."""
    if event.alert:
        return "failure"
    return "warning" if event.record.kind is Kind.ROLLBACK else "info"
