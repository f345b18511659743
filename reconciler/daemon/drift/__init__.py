"""What somebody else changed: how it is told apart, classified and told."""
