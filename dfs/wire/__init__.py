"""Messages: what each link says, and its bytes."""
