"""Experiments: assignment and statistics of A/B comparisons live here."""
