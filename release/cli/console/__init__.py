"""How a run looks: live on a terminal, plain lines in CI, annotations under GitHub Actions. Output is not logging."""
