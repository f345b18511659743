"""The daemon: keeps a stack as its manifests say, for as long as it runs."""
