"""What is there, in the shape in which it is declared, and what became of operations on request."""
