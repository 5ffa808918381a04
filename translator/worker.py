"""One thread that owns a model in memory, and a bounded queue before it.

The event loop never computes: it hands in sentences and awaits a future, so /health answers while a batch runs.
What waits when a batch ends is taken together into the next forward, which is what keeps many clients fast.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from itertools import groupby

from translator.errors import busy
from translator.model import BATCH, Translated

Translate = Callable[[list[str]], Translated]


@dataclass
class Job:
    """Sentences of one request, who translates them, and the future that gets their translations."""

    translate: Translate
    sentences: list[str]
    done: Future[Translated] = field(default_factory=Future)


class Worker:
    """Translate jobs one batch at a time; jobs of equal `translate` share one. Start once, close once.

    `waiting`: jobs in the queue, at most; `together`: sentences at which a batch takes no further job.
    """

    def __init__(self, waiting: int, together: int = BATCH) -> None:
        self._together = together
        self._jobs: queue.Queue[Job | None] = queue.Queue(maxsize=waiting)
        self._thread = threading.Thread(target=self._run, name="translator", daemon=True)

    def start(self) -> None:
        """Begin to take jobs."""
        self._thread.start()

    @property
    def alive(self) -> bool:
        """Whether the thread still takes jobs."""
        return self._thread.is_alive()

    @property
    def waiting(self) -> int:
        """Jobs in the queue, about."""
        return self._jobs.qsize()

    def submit(self, translate: Translate, sentences: list[str]) -> Future[Translated]:
        """Queue sentences; raises `Refusal` (503 busy) when the queue is full."""
        job = Job(translate, sentences)
        try:
            self._jobs.put_nowait(job)
        except queue.Full:
            raise busy(self.waiting) from None
        return job.done

    def close(self) -> None:
        """Finish what is queued, then end the thread; harmless where it never started."""
        if self._thread.is_alive():
            self._jobs.put(None)
            self._thread.join()

    def _run(self) -> None:
        while (job := self._jobs.get()) is not None:
            jobs, last = self._gather(job)
            for translate, alike in groupby(jobs, key=lambda each: each.translate):
                self._answer(translate, list(alike))
            if last:
                return

    def _gather(self, first: Job) -> tuple[list[Job], bool]:
        """The first job and those that wait behind it, up to `together` sentences; True if the end was among them."""
        jobs, size = [first], len(first.sentences)
        while size < self._together:
            try:
                job = self._jobs.get_nowait()
            except queue.Empty:
                break
            if job is None:
                return jobs, True
            jobs.append(job)
            size += len(job.sentences)
        return jobs, False

    def _answer(self, translate: Translate, jobs: list[Job]) -> None:
        """Translate several jobs together; if that fails, each by itself, so that one cannot spoil the others."""
        jobs = [job for job in jobs if job.done.set_running_or_notify_cancel()]
        if not jobs:
            return
        try:
            together = translate([sentence for job in jobs for sentence in job.sentences])
        except Exception as error:
            if len(jobs) == 1:
                jobs[0].done.set_exception(error)
                return
            for job in jobs:
                self._answer_alone(job)
            return
        start = 0
        for job in jobs:
            own = slice(start, start + len(job.sentences))
            start = own.stop
            # Tokens are counted for the batch; the first job reports them all, so that sums stay right.
            source, target = (together.source_tokens, together.target_tokens) if job is jobs[0] else (0, 0)
            job.done.set_result(Translated(together.lines[own], source, target, together.scores[own]))

    def _answer_alone(self, job: Job) -> None:
        try:
            job.done.set_result(job.translate(job.sentences))
        except Exception as error:
            job.done.set_exception(error)
