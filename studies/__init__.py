"""Long runs: trainings of bundled weights, full tables, result pictures."""
