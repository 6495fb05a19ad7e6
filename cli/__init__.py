"""The commands `minidfs` and `minimr`."""
