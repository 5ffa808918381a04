"""What the figures in the README come from. Each module prints a table, and JSON with --json FILE."""
