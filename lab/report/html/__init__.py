"""Pages of runs: one HTML file each, which opens from disk and loads nothing."""
