"""release: a git tag becomes live traffic on one Docker host, and goes back when something is wrong."""

__version__ = "0.1.0"
