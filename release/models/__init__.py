"""Versions of models, where they are kept: the one room that knows `modelhost`, and of it the registry alone."""
