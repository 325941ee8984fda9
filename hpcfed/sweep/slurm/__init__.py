"""What is asked of Slurm, and what is written for it."""
