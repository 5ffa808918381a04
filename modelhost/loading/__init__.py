"""Versions in memory: loaded once, warmed up, counted in bytes, evicted when idle and never while in use."""
