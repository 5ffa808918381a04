"""What serves: a set of loaded versions, one reference, flipped as a whole; leases, swap, rollback, who and why."""
