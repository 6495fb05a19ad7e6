"""A cluster on one machine: its folders, processes and ports."""
