"""File formats of missions; each has a writer and a reader, and reading back gives the same."""

from missions.formats.dji_wpml import read_dji_kmz, write_dji_kmz
from missions.formats.parameter_file import read_parameters, write_parameters
from missions.formats.qgc_plan import read_qgc_plan, write_qgc_plan
from missions.formats.qgc_wpl import read_waypoints, write_waypoints

__all__ = [
    "read_dji_kmz",
    "read_parameters",
    "read_qgc_plan",
    "read_waypoints",
    "write_dji_kmz",
    "write_parameters",
    "write_qgc_plan",
    "write_waypoints",
]
