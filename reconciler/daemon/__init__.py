"""Keeps a stack as its sources say: sources, drift, the control loop, status."""
