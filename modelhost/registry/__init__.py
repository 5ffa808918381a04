"""Versions on disk: published once, immutable, with a status that lives beside them. Nothing is loaded here."""
