"""One object for a service: registry, memory, serving, routing and configuration put together. No HTTP is spoken."""
