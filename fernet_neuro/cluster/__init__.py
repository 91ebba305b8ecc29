"""One command in many jobs: on a SLURM cluster, or side by side on one machine."""
