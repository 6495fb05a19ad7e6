"""``minidfs doctor``: is this machine fit for a cluster?"""
