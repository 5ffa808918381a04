"""The manifest: what a service is, typed, frozen and valid from birth. It reads files; it starts nothing."""
