"""The way back: observed resources become manifests whose plan is empty."""
