"""What a user can do: each operation is a function that a command line, an API or a workflow can call."""
