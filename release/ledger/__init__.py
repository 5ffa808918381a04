"""The ledger: what happened, and who asked for it. Releases, runs, steps, verdicts, switches; and the locks."""
