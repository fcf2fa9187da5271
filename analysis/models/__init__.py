"""Trained weights that the analysis runs, each with its model card."""
