"""Vehicles to fly against, scenarios, and the simulated camera."""
