"""Between a core and the world: transport, loop, step, threads for work."""
