"""Benchmarks: what minidfs does, beside something that does the same work."""
