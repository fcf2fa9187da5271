"""What a flight costs: a rotary-wing power model, and flights added up over all wind directions.

Power in level flight after Zeng, Xu and Zhang, "Energy minimization for wireless communication with
rotary-wing UAV", IEEE Trans. Wireless Commun. 18(4), 2019, eq. 12: induced power falls with speed
(Glauert), profile power grows with its square, parasite power with its cube. Hover power comes from
the stated endurance, so that motor and controller losses are in it; what of it is not induced
(momentum theory, factor 1.15) counts as profile power. Thin air raises induced power.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from corridor.values import FloatArray
from missions.survey import Aircraft, Safety

GRAVITY_M_S2 = 9.80665
_INDUCED_FACTOR = 1.15
_TIP_SPEED_M_S = 120.0
_CLIMB_EFFICIENCY = 0.7
_WIND_DIRECTIONS = 16


def air_density_kg_m3(altitude_m: float) -> float:
    """International Standard Atmosphere, below 11 km."""
    return float(1.225 * (1.0 - 2.25577e-5 * max(altitude_m, 0.0)) ** 4.2559)


@dataclass(frozen=True)
class PowerModel:
    """Electrical power of an aircraft in air of one density."""

    aircraft: Aircraft
    density_kg_m3: float

    @property
    def weight_n(self) -> float:
        """Weight in newtons."""
        return self.aircraft.mass_kg * GRAVITY_M_S2

    def _induced_speed_m_s(self, density_kg_m3: float) -> float:
        disc_m2 = self.aircraft.rotor_count * math.pi * self.aircraft.rotor_radius_m**2
        return math.sqrt(self.weight_n / (2.0 * density_kg_m3 * disc_m2))

    @property
    def profile_w(self) -> float:
        """What hovering costs beside induced power, from the endurance stated at sea level."""
        hover_w = self.aircraft.battery_wh * 3600.0 / self.aircraft.hover_endurance_s
        induced_w = _INDUCED_FACTOR * self.weight_n * self._induced_speed_m_s(1.225)
        return max(hover_w - induced_w, 0.05 * hover_w)

    def level_w(self, air_speed_m_s: npt.ArrayLike) -> FloatArray:
        """Power in level flight at air speeds of any shape."""
        v = np.asarray(air_speed_m_s, dtype=np.float64)
        v0 = self._induced_speed_m_s(self.density_kg_m3)
        ratio = v**2 / (2.0 * v0**2)
        induced = _INDUCED_FACTOR * self.weight_n * v0 * np.sqrt(np.sqrt(1 + ratio**2) - ratio)
        profile = self.profile_w * (1.0 + 3.0 * (v / _TIP_SPEED_M_S) ** 2)
        parasite = 0.5 * self.density_kg_m3 * self.aircraft.drag_area_m2 * v**3
        return np.asarray(induced + profile + parasite)

    def climb_w(self, climb_m_s: npt.ArrayLike) -> FloatArray:
        """Extra power while climbing; descending is counted as level flight."""
        rate = np.asarray(climb_m_s, dtype=np.float64)
        return np.asarray(self.weight_n * np.maximum(rate, 0.0) / _CLIMB_EFFICIENCY)


@dataclass(frozen=True)
class EnergyModel:
    """Time and energy of flights in wind from any direction.

    Energies are (16,) arrays in watt hours, one a wind direction (blowing towards 0°, 22.5°, …
    counted from east to north), so that they add up; the worst is their greatest.
    """

    aircraft: Aircraft
    safety: Safety
    power: PowerModel

    @classmethod
    def of(cls, aircraft: Aircraft, safety: Safety, altitude_m: float) -> EnergyModel:
        """For flying at about this altitude above mean sea level."""
        return cls(aircraft, safety, PowerModel(aircraft, air_density_kg_m3(altitude_m)))

    @property
    def budget_wh(self) -> float:
        """What may be used: aged battery less the reserve."""
        aged_wh = self.aircraft.battery_wh * self.aircraft.battery_ageing_frac
        return aged_wh * (1.0 - self.safety.reserve_frac)

    @property
    def wind_xy_m_s(self) -> FloatArray:
        """(16, 2) wind vectors, east and north."""
        angle = np.arange(_WIND_DIRECTIONS) * (2.0 * math.pi / _WIND_DIRECTIONS)
        return self.safety.wind_m_s * np.column_stack([np.cos(angle), np.sin(angle)])

    def legs(
        self, xyz_m: FloatArray, speed_m_s: float | FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        """Time (K - 1,) and energy (K - 1, 16) of straight legs between (K, 3) points.

        Horizontal speed is over ground; where the wind leaves less, that much; where climb or
        descent takes longer than the way along, the aircraft slows down to it.
        """
        step = np.diff(xyz_m, axis=0)
        along_m = np.hypot(step[:, 0], step[:, 1])
        rise_m = step[:, 2]
        speed = np.broadcast_to(np.asarray(speed_m_s, dtype=np.float64), along_m.shape)
        vertical_s = np.where(
            rise_m > 0,
            rise_m / self.aircraft.climb_speed_m_s,
            -rise_m / self.aircraft.descent_speed_m_s,
        )
        unit = np.divide(
            step[:, :2], along_m[:, None], out=np.zeros_like(step[:, :2]),
            where=along_m[:, None] > 1e-9,
        )  # fmt: skip
        wind = self.wind_xy_m_s
        head = -(unit @ wind.T)  # (K - 1, 16), positive against the flight
        cross2 = self.safety.wind_m_s**2 - head**2
        limit = self.aircraft.max_air_speed_m_s
        # Over ground the aircraft gets at most what the limit on air speed leaves.
        possible = np.sqrt(np.maximum(limit**2 - cross2, 0.01)) - head
        ground = np.minimum(speed[:, None], np.maximum(possible, 0.5))
        time_s = np.maximum(along_m[:, None] / ground, vertical_s[:, None])
        time_s = time_s + self._turn_s(unit, along_m, speed)[:, None]
        actual = np.divide(along_m[:, None], time_s, out=np.zeros_like(time_s), where=time_s > 1e-9)
        air = np.sqrt((actual + head) ** 2 + np.maximum(cross2, 0.0))
        watts = self.power.level_w(air)
        extra_wh = self.power.weight_n * np.maximum(rise_m, 0.0) / _CLIMB_EFFICIENCY / 3600.0
        return time_s.max(axis=1), watts * time_s / 3600.0 + extra_wh[:, None]

    def _turn_s(self, unit: FloatArray, along_m: FloatArray, speed: FloatArray) -> FloatArray:
        """Time lost by slowing down for the corner at each leg's start."""
        lost = np.zeros(len(along_m))
        if len(along_m) > 1:
            cosine = np.clip((unit[1:] * unit[:-1]).sum(axis=1), -1.0, 1.0)
            lost[1:] = speed[1:] / self.aircraft.acceleration_m_s2 * (1.0 - cosine)
        return lost

    def hover_wh(self, seconds: float) -> FloatArray:
        """Energy (16,) of holding position in the wind."""
        watts = float(self.power.level_w(self.safety.wind_m_s))
        still = float(self.power.level_w(0.0))
        return np.full(_WIND_DIRECTIONS, max(watts, still) * seconds / 3600.0)
