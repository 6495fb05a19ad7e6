"""The MapReduce master: a core beside the namenode's, in the same process and log."""
