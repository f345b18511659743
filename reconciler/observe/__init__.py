"""Observed resources in the declared shape, and the state of requested operations."""
