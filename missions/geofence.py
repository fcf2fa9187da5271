"""An inclusion polygon around a flight, with few vertices, growing outwards only."""

from __future__ import annotations

import numpy as np
import shapely

from corridor.values import FloatArray

MOST_VERTICES = 69
"""ArduCopter stores one polygon of at most 69 vertices (560 bytes of fence storage)."""


def fence_polygon(area: shapely.Geometry, margin_m: float, most: int = MOST_VERTICES) -> FloatArray:
    """The vertices (N, 2), N <= `most`, of a simple polygon that contains the area with margin.

    Raises:
        ValueError: if `most` is below 4.
    """
    if most < 4:
        raise ValueError(f"a fence needs room for four vertices, not {most}")
    grown = shapely.buffer(area, margin_m, quad_segs=3)
    if grown.geom_type != "Polygon":
        grown = shapely.convex_hull(grown)
    must_hold = shapely.Polygon(grown.exterior)
    # A first thinning of 2 m is made good by growing by as much before.
    outline = shapely.simplify(shapely.buffer(must_hold, 2.0, quad_segs=2), 1.0)
    ring = np.array(shapely.Polygon(outline.exterior).exterior.coords)[:-1]
    if not shapely.Polygon(ring).contains(must_hold):
        ring = np.array(shapely.buffer(must_hold, 0.5, quad_segs=2).exterior.coords)[:-1]
    if not shapely.Polygon(ring).exterior.is_ccw:
        ring = ring[::-1]
    while len(ring) > most:
        smaller = _without_one(ring, must_hold)
        if smaller is None:
            break
        ring = smaller
    if len(ring) > most:
        box = shapely.oriented_envelope(must_hold)
        ring = np.array(shapely.buffer(box, 1.0, join_style="mitre").exterior.coords)[:-1]
    return ring


def _without_one(ring: FloatArray, must_hold: shapely.Polygon) -> FloatArray | None:
    """The ring with one vertex less that adds the least area; None if none can go."""
    before, after = np.roll(ring, 1, axis=0), np.roll(ring, -1, axis=0)
    turn = _cross(ring - before, after - ring)
    moves: list[tuple[float, int, FloatArray | None]] = []
    for k in range(len(ring)):
        if turn[k] <= 0:  # a dent: leaving it out grows the polygon
            moves.append((abs(turn[k]) / 2.0, k, None))
            continue
        # An edge whose neighbours meet beyond it: the tip replaces its two ends.
        a, b, c, d = before[k], ring[k], after[k], ring[(k + 2) % len(ring)]
        tip = _meeting(a, b, d, c)
        if tip is not None and _cross(c - b, d - c) > 0:
            moves.append((abs(float(_cross(b - tip, c - tip))) / 2.0, k, tip))
    for _, k, tip in sorted(moves, key=lambda move: move[0]):
        if tip is None:
            candidate = np.delete(ring, k, axis=0)
        else:
            candidate = ring.copy()
            candidate[k] = tip
            candidate = np.delete(candidate, (k + 1) % len(ring), axis=0)
        polygon = shapely.Polygon(candidate)
        if polygon.is_valid and polygon.contains(must_hold):
            return candidate
    return None


def _cross(one: FloatArray, other: FloatArray) -> FloatArray:
    return np.asarray(one[..., 0] * other[..., 1] - one[..., 1] * other[..., 0])


def _meeting(a: FloatArray, b: FloatArray, d: FloatArray, c: FloatArray) -> FloatArray | None:
    """Where the rays a→b and d→c meet, beyond b and c; None if they do not."""
    one, other = b - a, c - d
    across = float(_cross(one, other))
    if abs(across) < 1e-9:
        return None
    t = float(_cross(d - a, other)) / across
    u = float(_cross(d - a, one)) / across
    if t < 1.0 or u < 1.0 or t > 50.0 or u > 50.0:
        return None
    return np.asarray(a + t * one)
