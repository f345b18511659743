"""Figures for the README: ratios within one run, never thresholds in a test."""
