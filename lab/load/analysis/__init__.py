"""What the counters of a load mean: thresholds, bottleneck, comparison of two loads, studies."""
