"""What the process serves over HTTP: metrics, health and status. It only reads, it commands nothing."""
