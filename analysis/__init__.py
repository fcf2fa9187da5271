"""Orthophoto to fence condition, breaches, footpaths and plots."""
