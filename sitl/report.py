"""A flight as one page that works offline: checks, map, height profile, events."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from corridor import write_text
from corridor.values import FloatArray
from sitl.flight import FlightResult, above_terrain
from sitl.scenario import Scenario
from sitl.verify import Verification

_STYLE = """
body{font:15px/1.45 system-ui,sans-serif;margin:0 auto;max-width:1060px;padding:18px;color:#1c2430}
h1{font-size:22px;margin:0 0 4px} h2{font-size:17px;margin:26px 0 8px}
.sub{color:#5b6675;margin:0 0 14px} .note{background:#fff4d6;border:1px solid #e5c65c;
padding:8px 12px;border-radius:6px} table{border-collapse:collapse;width:100%}
td,th{text-align:left;padding:5px 10px;border-bottom:1px solid #e3e7ec;vertical-align:top}
.ok{color:#14743a;font-weight:600}.bad{color:#b3261e;font-weight:600}.open{color:#6b7480}
svg{width:100%;height:auto;border:1px solid #dde2e8;border-radius:6px;background:#fbfcfd}
.legend{color:#5b6675;font-size:13px;margin:6px 0} .key{display:inline-block;width:22px;height:0;
border-top:3px solid;vertical-align:middle;margin:0 4px 0 14px}
"""
_PLAN, _FLOWN, _PHOTO, _FENCE, _GROUND = "#7b8794", "#1565c0", "#e07b00", "#b3261e", "#8a6d3b"


def write_report(
    path: Path, result: FlightResult, verification: Verification, scenario: Scenario
) -> None:
    """Writes report.html."""
    vehicle = "the fencewalk stand-in" if result.is_stand_in else "ArduPilot SITL"
    version = html.escape(str(result.vehicle.get("version", "")))
    build = html.escape(str(result.vehicle.get("build", "")))
    warning = ""
    if result.is_stand_in:
        warning = (
            '<p class="note"><b>Flown by the stand-in, not by ArduPilot.</b> It follows'
            " ArduCopter's recorded behaviour (docs/sitl.md says how closely); it proves the"
            " mission and the link, not an autopilot.</p>"
        )
    verdict = "passed" if verification.passed else "FAILED"
    css = "ok" if verification.passed else "bad"
    title = f"Flight of {html.escape(result.sortie.sortie_id)}: {html.escape(scenario.name)}"
    body = [
        f'<h1>{title} <span class="{css}">{verdict}</span></h1>',
        f'<p class="sub">{html.escape(scenario.description)} Vehicle: {vehicle} {version}'
        f" ({build}), speed-up {result.speedup:g}.</p>",
        warning,
        "<h2>Checks</h2>",
        _checks(verification),
        "<h2>Map</h2>",
        _map(result, verification),
        _legend([("planned", _PLAN), ("flown", _FLOWN), ("photo", _PHOTO), ("geofence", _FENCE)]),
        "<h2>Height above home</h2>",
        _profile(result, verification),
        _legend([("planned", _PLAN), ("flown", _FLOWN), ("surface below", _GROUND)]),
        "<h2>Events</h2>",
        _events(result),
    ]
    page = (
        '<!doctype html><html lang="en"><meta charset="utf-8">'
        f"<title>{title}</title><style>{_STYLE}</style><body>{''.join(body)}</body></html>\n"
    )
    write_text(path, page)


def _checks(verification: Verification) -> str:
    rows = []
    for check in verification.checks:
        mark = {True: ("ok", "ok"), False: ("bad", "FAILED"), None: ("open", "not judged")}
        css, word = mark[check.passed]
        rows.append(
            f'<tr><td>{html.escape(check.name)}</td><td class="{css}">{word}</td>'
            f"<td>{html.escape(check.text)}</td></tr>"
        )
    return f"<table><tr><th>what</th><th></th><th>numbers</th></tr>{''.join(rows)}</table>"


def _legend(entries: Iterable[tuple[str, str]]) -> str:
    keys = "".join(
        f'<span class="key" style="border-color:{colour}"></span>{name}' for name, colour in entries
    )
    return f'<p class="legend">{keys}</p>'


def _line(points: FloatArray, colour: str, width: float, dash: str = "") -> str:
    if len(points) < 2:
        return ""
    text = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    extra = f' stroke-dasharray="{dash}"' if dash else ""
    return (
        f'<polyline points="{text}" fill="none" stroke="{colour}" stroke-width="{width}"{extra}/>'
    )


def _map(result: FlightResult, v: Verification) -> str:
    fences = [
        v.frame.to_xy(np.vstack([p.lonlat, p.lonlat[:1]])) for p in result.sortie.geofence.polygons
    ]
    layers = [v.plan_xy, v.track_xy]
    everything = np.vstack([layer for layer in layers if len(layer)] or [np.zeros((1, 2))])
    size = float(np.ptp(everything, axis=0).max()) + 80.0
    # The fence belongs in the picture unless it is so far out that the flight would be a dot.
    near = [fence for fence in fences if np.ptp(fence, axis=0).max() < 2.5 * size]
    everything = np.vstack([everything, *near])
    margin = 40.0 if not near else 15.0
    low, high = everything.min(axis=0) - margin, everything.max(axis=0) + margin
    width, tall = 1000.0, float(np.clip(1000.0 * (high - low)[1] / (high - low)[0], 220, 760))
    scale = min(width / (high - low)[0], tall / (high - low)[1])
    middle = 0.5 * (low + high)

    def place(xy: FloatArray) -> FloatArray:
        return np.column_stack(
            [
                width / 2 + (xy[:, 0] - middle[0]) * scale,
                tall / 2 - (xy[:, 1] - middle[1]) * scale,
            ]
        )

    parts = [_line(place(fence), _FENCE, 1.5, "6 4") for fence in fences]
    if len(v.plan_xy):
        parts.append(_line(place(v.plan_xy), _PLAN, 4.0))
    if len(v.track_xy):
        parts.append(_line(place(v.track_xy), _FLOWN, 1.6))
    if result.recording.photos:
        lonlat = np.array([(row[2], row[1]) for row in result.recording.photos])
        parts += [
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{_PHOTO}"/>'
            for x, y in place(v.frame.to_xy(lonlat))
        ]
    for name, point in _marks(result, v):
        x, y = place(point)[0]
        parts.append(
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="5" fill="none" stroke="#111" stroke-width="2"/>'
            f'<text x="{x + 8:.1f}" y="{y - 6:.1f}" font-size="13">{name}</text>'
        )
    bar_m = 10.0 ** np.floor(np.log10(200.0 / scale))
    parts.append(
        f'<line x1="20" x2="{20 + bar_m * scale:.1f}" y1="{tall - 18:.0f}" y2="{tall - 18:.0f}"'
        f' stroke="#111" stroke-width="2"/><text x="20" y="{tall - 24:.0f}" font-size="12">'
        f"{bar_m:g} m</text>"
    )
    return f'<svg viewBox="0 0 {width:.0f} {tall:.0f}">{"".join(parts)}</svg>'


def _marks(result: FlightResult, v: Verification) -> list[tuple[str, FloatArray]]:
    home = result.sortie.mission.home
    marks = [("home", v.frame.to_xy([(home.lon_deg, home.lat_deg)]))]
    for number, point in enumerate(result.sortie.rally, start=1):
        where = v.frame.to_xy([(point.position.lon_deg, point.position.lat_deg)])
        marks.append((f"rally {number}", where))
    return marks


def _profile(result: FlightResult, v: Verification) -> str:
    if not len(v.track_up_m):
        return "<p>no track</p>"
    times = result.recording.columns("time_boot_ms")[:, 0] / 1000.0
    times = times - times[0]
    planned = np.full(len(times), np.nan)
    if len(v.plan_xy) > 1:
        steps = np.hypot(*np.diff(v.plan_xy, axis=0).T)
        stations = np.concatenate([[0.0], np.cumsum(steps)])
        known = np.isfinite(v.along_m)
        planned[known] = np.interp(v.along_m[known], stations, v.plan_up_m)
        if above_terrain(result.sortie.mission):
            # Waypoints count from the ground below; the drawing counts from home.
            planned += v.ground_up_m - v.ground_up_m[0]
    values = np.concatenate([v.track_up_m, v.ground_up_m, [0.0]])
    values = values[np.isfinite(values)]
    low, high = float(values.min()) - 3.0, float(values.max()) + 5.0
    width, tall = 1000.0, 280.0

    def place(up: FloatArray) -> FloatArray:
        good = np.isfinite(up)
        x = 46 + (width - 60) * times[good] / max(times[-1], 1.0)
        y = tall - 26 - (tall - 44) * (up[good] - low) / (high - low)
        return np.column_stack([x, y])

    parts = [_line(place(v.ground_up_m), _GROUND, 2.0)]
    parts += [_line(place(planned), _PLAN, 4.0), _line(place(v.track_up_m), _FLOWN, 1.6)]
    for up in np.arange(np.ceil(low / (step := _nice(high - low))) * step, high, step):
        y = tall - 26 - (tall - 44) * (up - low) / (high - low)
        parts.append(
            f'<line x1="46" x2="{width - 14:.0f}" y1="{y:.1f}" y2="{y:.1f}" stroke="#e3e7ec"/>'
            f'<text x="4" y="{y + 4:.1f}" font-size="12">{up + 0.0:.0f} m</text>'
        )
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        x = 46 + (width - 60) * share
        parts.append(
            f'<text x="{min(x, width - 50):.0f}" y="{tall - 6:.0f}" font-size="12">'
            f"{times[-1] * share:.0f} s</text>"
        )
    return f'<svg viewBox="0 0 {width:.0f} {tall:.0f}">{"".join(parts)}</svg>'


def _nice(span: float) -> float:
    """A round step that divides a span in about five."""
    power = 10.0 ** np.floor(np.log10(max(span, 1e-3) / 5.0))
    return float(next(m * power for m in (1.0, 2.0, 5.0, 10.0) if m * power >= span / 5.0))


def _events(result: FlightResult) -> str:
    first = result.auto_ms
    rows: Sequence[str] = [
        f"<tr><td>{(e.time_boot_ms - first) / 1000.0:.1f} s</td><td>{html.escape(e.kind.lower())}"
        f"</td><td>{html.escape(e.text)}</td></tr>"
        for e in result.recording.events
        if e.time_boot_ms >= first - 5000
    ]
    return f"<table><tr><th>after AUTO</th><th></th><th></th></tr>{''.join(rows)}</table>"
