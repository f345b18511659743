"""The control loop: when a stack is reconciled, what is retried when, and with which result."""
