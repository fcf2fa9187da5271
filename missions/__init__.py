"""Boundary lines to lanes, sorties and MAVLink missions; formats; the link to the vehicle."""
