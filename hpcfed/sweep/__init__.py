"""Sweeps: one file describes many runs; planned, run here or by Slurm, watched and collected."""
