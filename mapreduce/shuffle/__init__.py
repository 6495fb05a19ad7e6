"""From map to reduce: keys made canonical, partitions, runs, merges and groups."""
