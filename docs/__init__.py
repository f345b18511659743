"""Pages about the product, and what makes those that follow from its tables."""
