"""Training: one loop for all systems, its data, schedules and checkpoints, and one file per task."""
