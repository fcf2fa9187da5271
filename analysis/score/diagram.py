"""The reliability diagram as a picture: what was said against what was so."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from xml.sax.saxutils import escape

from analysis.score.calibration import Calibration
from corridor import write_text

_SIDE, _GAP, _LEFT, _TOP = 220, 70, 52, 46
_NAMES = {
    "breach": "breaches",
    "fence_state_m": "fence state, by metres",
    "footpath": "footpaths, by metres",
    "access_point": "access points",
    "plot": "plots",
}


def write_diagram(path: str | Path, calibrations: Mapping[str, Calibration]) -> None:
    """Writes an SVG with a square for each kind of statement.

    A dot a bin: across its mean confidence, up the share of its statements that were right, its
    area by their number. Dots below the diagonal are too sure.
    """
    shown = {name: one for name, one in calibrations.items() if one.weight}
    width = _LEFT + len(shown) * (_SIDE + _GAP) or 400
    height = _TOP + _SIDE + 52
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="12">',
        f'<rect width="{width}" height="{height}" fill="#fff"/>',
    ]
    for index, (name, calibration) in enumerate(shown.items()):
        parts.append(_square(_LEFT + index * (_SIDE + _GAP), name, calibration))
    if not shown:
        parts.append('<text x="20" y="40">No statement was judged.</text>')
    write_text(path, "\n".join([*parts, "</svg>", ""]))


def _square(left: int, name: str, calibration: Calibration) -> str:
    bottom = _TOP + _SIDE

    def at(confidence: float, right_frac: float) -> tuple[float, float]:
        return left + confidence * _SIDE, bottom - right_frac * _SIDE

    title = escape(_NAMES.get(name, name))
    error = calibration.expected_error or 0.0
    lines = [
        f'<text x="{left}" y="18" font-weight="bold">{title}</text>',
        f'<text x="{left}" y="34">expected calibration error {error:.3f}</text>',
        f'<rect x="{left}" y="{_TOP}" width="{_SIDE}" height="{_SIDE}" fill="none" stroke="#777"/>',
        f'<path d="M{left} {bottom}L{left + _SIDE} {_TOP}" stroke="#aaa" stroke-dasharray="4 4"/>',
    ]
    for step in (0.0, 0.25, 0.5, 0.75, 1.0):
        x, _ = at(step, 0)
        _, y = at(0, step)
        lines.append(f'<text x="{x}" y="{bottom + 16}" text-anchor="middle">{step:g}</text>')
        lines.append(f'<text x="{left - 6}" y="{y + 4}" text-anchor="end">{step:g}</text>')
    most = max(one.weight for one in calibration.bins)
    points = [at(one.confidence, one.right_frac) for one in calibration.bins]
    path = "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
    lines.append(f'<path d="M{path}" fill="none" stroke="#0072b2"/>')
    for one, (x, y) in zip(calibration.bins, points, strict=True):
        radius = 2.0 + 8.0 * (one.weight / most) ** 0.5
        said = f"{one.weight:.0f} at {one.confidence:.2f}: {100 * one.right_frac:.0f} % right"
        lines.append(
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius:.1f}" fill="#0072b2" fill-opacity=".55">'
            f"<title>{said}</title></circle>"
        )
    middle = left + _SIDE / 2
    lines.append(f'<text x="{middle}" y="{bottom + 36}" text-anchor="middle">confidence</text>')
    lines.append(
        f'<text transform="translate({left - 36} {_TOP + _SIDE / 2}) rotate(-90)" '
        'text-anchor="middle">share right</text>'
    )
    return "\n".join(lines)
