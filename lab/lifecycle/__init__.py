"""From nothing to a lab that is ready, and back: up, registry of labs, readiness, status, logs, down, cleanup."""
