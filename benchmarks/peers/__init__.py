"""The same work by other means: plain Python with a process pool."""
