"""The words that every part of fencewalk shares; imports none of the other packages."""

from corridor.datum import Datum
from corridor.errors import FencewalkError, InputError, VehicleError
from corridor.files import atomic_path, sha256_of, write_json, write_text
from corridor.frame import LocalFrame, Track
from corridor.offset import offset_track
from corridor.progress import Progress, silent
from corridor.read import read_boundaries
from corridor.reference import Located, Reference
from corridor.station import format_station, parse_station
from corridor.values import Altitude, AltitudeReference, Boundary, LonLat, Side

__all__ = [
    "Altitude",
    "AltitudeReference",
    "Boundary",
    "Datum",
    "FencewalkError",
    "InputError",
    "LocalFrame",
    "Located",
    "LonLat",
    "Progress",
    "Reference",
    "Side",
    "Track",
    "VehicleError",
    "atomic_path",
    "format_station",
    "offset_track",
    "parse_station",
    "read_boundaries",
    "sha256_of",
    "silent",
    "write_json",
    "write_text",
]
