"""The datanode: the chunks of one machine."""
