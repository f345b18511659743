"""The process on a node: claims operations, runs them through a driver, writes back what is observed."""
