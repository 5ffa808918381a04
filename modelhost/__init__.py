"""Model versions inside a running service: a new one in, a bad one out, no restart and no failed request."""
