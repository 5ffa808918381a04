"""`release init`: looks at a repository with a Dockerfile, says what it found, renders a manifest and a workflow."""

from release.scaffold.findings import Certainty, Findings, Guess, Ports
from release.scaffold.ports import pick, port_is_free
from release.scaffold.render import render
from release.scaffold.scan import scan
from release.scaffold.write import write

__all__ = ["Certainty", "Findings", "Guess", "Ports", "pick", "port_is_free", "render", "scan", "write"]
