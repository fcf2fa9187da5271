"""Vehicle parameters recommended for a sortie, each with its reason."""

from __future__ import annotations

import math

import numpy as np

from missions.mission import Mission, Parameter, RallyPoint
from missions.returns import Return
from missions.survey import Survey


def recommended(
    survey: Survey, home: Return, highest_m: float, rally: tuple[RallyPoint, ...],
    farthest_rally_m: float, oblique: bool,
) -> tuple[Parameter, ...]:  # fmt: skip
    """The parameters for one sortie.

    Args:
        highest_m: highest point of the flight above home.
        farthest_rally_m: greatest distance that the flight may return to a rally point from.
    """
    returns_m = [home.altitude_m, *(point.altitude_above_home_m for point in rally)]
    fence_alt_m = math.ceil(max(highest_m, *returns_m) + 20.0)
    speed = survey.safety.rtl_speed_m_s or survey.aircraft.cruise_speed_m_s
    parameters = [
        Parameter(
            "RTL_ALT", home.altitude_m * 100.0,
            f"Every straight way home of this sortie is clear at {home.altitude_m:.0f} m above "
            "home; the default of 15 m is inside the hill",
            "RTL_ALT_M", home.altitude_m,
        ),
        Parameter("RTL_CONE_SLOPE", home.cone_slope,
                  "The return height was proved with this cone (0: none)"),
        Parameter("RTL_SPEED", speed * 100.0, "The way home was budgeted at this speed",
                  "RTL_SPEED_MS", speed),
        Parameter("FENCE_ENABLE", 1.0, "The geofence holds the whole sortie and its ways home"),
        Parameter("FENCE_TYPE", 5.0, "Height and polygon; the circle (default 150-300 m about "
                  "home) would end a corridor flight"),
        Parameter("FENCE_ACTION", 1.0, "Leaving the fence: return (RTL), or land if that fails"),
        Parameter("FENCE_ALT_MAX", float(fence_alt_m),
                  "Above the highest point and the return height; the default is 100 m above home"),
        Parameter("FENCE_MARGIN", 5.0, "Within the margin planned around the flight"),
        Parameter("RALLY_LIMIT_KM", math.ceil(farthest_rally_m / 100.0 + 0.5) / 10.0
                  if rally else 0.3,
                  "Rally points of this sortie are used from within this distance; the default of "
                  "0.3 km is too near for a corridor" if rally else
                  "This sortie has no rally points; the autopilot's default"),
        Parameter("RALLY_INCL_HOME", 1.0, "The nearest of home and the rally points is returned "
                  "to; with 0 the mission's own return would end at a rally point"),
        Parameter("CAM_AUTO_ONLY", 1.0, "No pictures outside the mission: triggering by distance "
                  "otherwise goes on in RTL"),
        Parameter("FS_THR_ENABLE", 1.0, "Radio lost: return (1 is RTL here)"),
        Parameter("FS_GCS_ENABLE", 1.0, "Ground station lost: return (1 is RTL here)"),
        Parameter("FS_OPTIONS", 16.0, "No continuing of the mission after radio or station are "
                  "lost; bits 0 and 1 would"),
        Parameter("BATT_FS_LOW_ACT", 2.0, "Battery low: return (2 is RTL here)"),
        Parameter("BATT_FS_CRT_ACT", 1.0, "Battery critical: land (1 is land here)"),
        Parameter("WPNAV_SPEED", survey.aircraft.cruise_speed_m_s * 100.0,
                  "Speed between lanes as planned", "WP_SPD", survey.aircraft.cruise_speed_m_s),
        Parameter("WPNAV_SPEED_UP", survey.aircraft.climb_speed_m_s * 100.0,
                  "Climb rate as planned", "WP_SPD_UP", survey.aircraft.climb_speed_m_s),
        Parameter("WPNAV_SPEED_DN", survey.aircraft.descent_speed_m_s * 100.0,
                  "Descent rate as planned", "WP_SPD_DN", survey.aircraft.descent_speed_m_s),
    ]  # fmt: skip
    if oblique and survey.camera.gimbal_yaw_range_deg < 90.0:
        parameters.append(
            Parameter("WP_YAW_BEHAVIOR", 0.0, "The aircraft holds the yaw that looks at the fence")
        )
    return tuple(parameters)


def highest_above_home_m(mission: Mission, home_altitude_m: float) -> float:
    """The highest item above home, whichever reference the items have."""
    heights = [
        item.altitude_m - (home_altitude_m if item.frame == 0 else 0.0)
        for item in mission.items
        if item.position is not None
    ]
    return float(np.max(heights))
