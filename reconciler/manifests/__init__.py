"""Files become desired resources: read with positions, loaded, checked against schemas and each other."""
