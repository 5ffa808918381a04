"""Which version answers a request, and in which shape. Pure: facts of a request in, a choice out."""
