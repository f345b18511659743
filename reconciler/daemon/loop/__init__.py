"""The control loop: when a stack is reconciled, what is retried when, and what came of it."""
