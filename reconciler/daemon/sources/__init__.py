"""Where the daemon learns what is declared and what is there: files, git, the cluster."""
