"""Checks: questions about a candidate. URLs in, verdicts out; none of them knows engine, proxy or ledger."""
