"""Rollouts: strategies, each a list of steps, and the steps themselves. Deciding how much traffic moves when."""
