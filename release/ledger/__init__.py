"""The ledger: what happened. Releases, deployments, steps, verdicts, switches, and who asked for them; and the locks."""
