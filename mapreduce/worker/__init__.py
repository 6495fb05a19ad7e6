"""The worker: runs tasks on one machine in processes of their own, and serves map output."""
