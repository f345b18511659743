"""What people and machines are shown: text, Markdown, HTML, graphs, plan JSON, history, progress, logs, metrics."""
