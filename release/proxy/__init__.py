"""The proxy: nginx as rendered, installed and verified, and the flag files that move traffic."""
