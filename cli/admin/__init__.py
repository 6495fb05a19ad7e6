"""Commands for whoever looks after a cluster: ``minidfs admin …``."""
