"""What each command does: one module a command, each with `run(settings)`."""
