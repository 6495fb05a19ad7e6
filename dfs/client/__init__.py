"""The client: operations as generators, the core that runs them, and files and `Client` on top."""
