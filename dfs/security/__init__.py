"""Who is who: keys, the members of a cluster, and what a key's owner may do."""
