"""What model versions inside a running service cost: swaps under load, 1 GB of weights, ways of loading, requests."""
