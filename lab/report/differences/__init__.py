"""Two runs of one scenario, compared."""
