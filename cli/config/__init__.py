"""Looking at ``cluster.toml``."""
