"""Drift, changes made by somebody else: how it is detected, classified and reported."""
