"""The whole cluster, jobs included, in one thread."""
