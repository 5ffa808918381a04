"""Observation: the access log and the engine watched after a switch, and judged. Samples in, decisions out; it moves nothing."""
