"""Where resources are kept: the protocol, the embedded cluster, Kubernetes."""
