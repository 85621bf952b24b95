"""Our functions beside their peers: ratios in one run, never a timed test."""
