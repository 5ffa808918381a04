"""HTTP over a socket of one's own: without the SDK, whose import takes long, and with an end to every question."""
