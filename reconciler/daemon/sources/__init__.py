"""Where the daemon reads the desired and the observed state: files, git, the cluster; and what triggers a reconcile."""
