"""What a release may do wrong while it is watched, before it is taken back."""

from __future__ import annotations

from dataclasses import dataclass

ALPHA = 0.001
SLOW_RATE = 0.05  # a 95th percentile within its budget means: at most this share is slower than it


@dataclass(frozen=True)
class Budget:
    """`max_error_rate` is a fraction; `p95` seconds until an answer begins (None: not judged)."""

    max_error_rate: float
    p95: float | None
    min_requests: int
    alpha: float = ALPHA
    probe_failures: int = 3
