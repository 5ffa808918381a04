"""One YAML says how models are served: read, validated, reloaded as a whole or not at all. Nothing is loaded here."""
