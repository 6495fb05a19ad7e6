"""Commands about the cluster and its processes."""
