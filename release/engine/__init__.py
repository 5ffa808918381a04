"""Engines: what runs. Starting, stopping and looking at instances of a release; each engine owns one outside thing."""
