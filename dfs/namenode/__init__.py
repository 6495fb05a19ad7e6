"""The namenode: the namespace, its log and view, and where replicas are."""
