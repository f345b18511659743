"""What the daemon serves over HTTP: status, metrics, health, the dashboard."""
