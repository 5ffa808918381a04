"""Observation: what the log and the engine say after a switch, judged. Samples in, decisions out; it moves nothing."""
