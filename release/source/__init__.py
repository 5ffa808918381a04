"""Git: what a tag names, and exactly that tree in a folder."""

from release.source.repository import Resolved, Source

__all__ = ["Resolved", "Source"]
