"""One module per group of commands, imported only when its command is called."""
