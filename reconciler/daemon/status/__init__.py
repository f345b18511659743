"""What the daemon shows of itself: status, metrics, pages, the dashboard."""
