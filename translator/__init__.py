"""The bundled service: a small Chinese → English translator, its page and API, and the tools that train it."""
