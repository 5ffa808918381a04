"""A deployment's record as Markdown and JSON. Rows in, text out; it moves nothing and asks no engine."""
