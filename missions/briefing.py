"""briefing.html: a page a sortie with map, height profile, numbers, risks and a checklist."""

from __future__ import annotations

import re
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import jinja2
import numpy as np
import shapely
from markupsafe import Markup

from corridor import Track, format_station, write_text
from corridor.values import FloatArray
from missions.flight import Segment
from missions.mission import Sortie
from missions.planner import SurveyPlan
from missions.schedule import Slot
from missions.sorties import PlannedSortie

_MAP = (680.0, 330.0)
_PROFILE = (680.0, 200.0)

TEXTS: dict[str, dict[str, str]] = {
    "en": {
        "title": "Flight briefing", "sortie": "Sortie", "launch": "Launch site",
        "duration": "Flight time (worst wind)", "length": "Way flown", "lanes": "of it lanes",
        "photos": "Pictures", "energy": "Energy with return", "rtl": "Return height above home",
        "speed": "Speeds on lanes", "trigger": "Picture every", "items": "Mission items",
        "map": "Map", "profile": "Heights along the flight", "terrain": "ground",
        "floor": "lowest allowed", "ceiling": "ceiling", "path": "flight", "risks": "Risks",
        "checklist": "Before take-off", "no_risk": "none found by the planner",
        "lowest": "Lowest clearance", "stretches": "Lanes in order", "min": "min",
        "proposed": "The launch site is a proposal: see that people can stand there.",
        "crossing": "Transits cross the carriageway.",
        "share": "The battery is used beyond 85 % of what is allowed.",
        "steep": "Return height is more than 120 m above home.",
        "when": "Planned for", "district": "Responsible", "rally": "May also return to",
        "no_rally": "nowhere but home", "nadir": "nadir", "oblique": "oblique", "left": "left",
        "right": "right", "legend_fence": "geofence", "legend_boundary": "road fence",
        "legend_home": "home", "legend_rally": "rally point", "legend_lanes": "lanes",
        "rally_land": "A return may land unattended at: {}. Keep these places free.",
        "slower": "Down to {} m/s instead of {} m/s on some lanes ({})",
        "climb rate": "climb rate", "picture interval or blur": "picture interval or blur",
    },
    "zh": {
        "title": "飞行简报", "sortie": "架次", "launch": "起降点",
        "duration": "飞行时间（最不利风）",
        "length": "航程", "lanes": "其中航线", "photos": "照片数", "energy": "含返航电量",
        "rtl": "返航高度（相对起飞点）", "speed": "航线速度", "trigger": "拍照间距",
        "items": "航点指令数", "map": "地图", "profile": "沿程高度剖面", "terrain": "地面",
        "floor": "最低允许高度", "ceiling": "限高", "path": "航迹", "risks": "风险",
        "checklist": "起飞前检查", "no_risk": "规划未发现风险", "lowest": "最小净空",
        "stretches": "航线顺序", "min": "分钟",
        "proposed": "起降点为程序建议，请现场确认可用。", "crossing": "转场航段跨越行车道。",
        "share": "电量使用超过允许值的 85 %。", "steep": "返航高度超过起飞点 120 米。",
        "when": "计划时间", "district": "责任单位", "rally": "备降点",
        "no_rally": "无（仅返回起飞点）", "legend_lanes": "航线",
        "nadir": "正射", "oblique": "倾斜", "left": "左侧", "right": "右侧",
        "legend_fence": "电子围栏", "legend_boundary": "公路隔离栅", "legend_home": "起飞点",
        "legend_rally": "备降点",
        "rally_land": "返航时可能在无人值守的备降点降落：{}。请保持场地净空。",
        "slower": "部分航线速度降至 {} 米/秒（原定 {} 米/秒）：{}",
        "climb rate": "受爬升率限制", "picture interval or blur": "受拍照间隔或运动模糊限制",
    },
}  # fmt: skip

CHECKLIST: dict[str, tuple[str, ...]] = {
    "en": (
        "fencewalk check shows nothing blocking for this plan",
        "Mission, geofence and rally points uploaded, read back and compared",
        "Parameters of the .param file set",
        "Home is at the launch site of this page (within 10 m)",
        "Wind on the ground and forecast aloft below the limit",
        "Battery full; its age is not beyond what was planned",
        "Camera: shutter time as planned, card empty, first picture checked",
        "Road control room informed; nobody below the take-off point",
    ),
    "zh": (
        "fencewalk check 对本计划无阻断项",
        "任务、电子围栏、备降点已上传、回读并比对一致",
        "已设置 .param 文件中的参数",
        "起飞点与本页起降点一致（10 米内）",
        "地面风与空中预报风均低于限值",
        "电池满电，老化程度不超过规划值",
        "相机：快门时间按规划设置，存储卡已清空，已检查首张照片",
        "已通知道路监控中心；起飞点下方无人员",
    ),
}


def write_briefing(
    path: str | Path, plan: SurveyPlan, sorties: Sequence[Sortie], slots: Sequence[Slot] = ()
) -> None:
    """Writes the page for all sorties, self-contained, for the screen and A4."""
    when = {slot.sortie_id: slot for slot in slots}
    language = plan.survey.output.language
    template = jinja2.Environment(autoescape=True).from_string(
        resources.files("missions").joinpath("briefing.html.j2").read_text("utf-8")
    )
    pages = [
        _page(plan, sortie, made, TEXTS[language], when.get(sortie.sortie_id))
        for sortie, made in zip(sorties, plan.sorties, strict=True)
    ]
    write_text(
        path,
        template.render(t=TEXTS[language], checklist=CHECKLIST[language], pages=pages,
                        language=language),
    )  # fmt: skip


def _page(
    plan: SurveyPlan,
    sortie: Sortie,
    made: PlannedSortie,
    text: dict[str, str],
    slot: Slot | None,
) -> dict[str, Any]:
    runs = made.runs
    rally = ", ".join(f"{point.place.name} ({point.altitude_m:.0f} m)" for point in made.rally)
    used, budget = made.home.worst_wh, made.energy.budget_wh
    crossing = any(
        plan.airspace.over_carriageway(segment.xyz[:, :2]).any()
        or len(plan.airspace.carriageways.query(
            shapely.LineString(segment.xyz[:, :2]), predicate="intersects"))
        for segment in made.segments if segment.kind == "transit" and len(segment.xyz) > 1
    )  # fmt: skip
    risks = [
        message
        for message, holds in (
            (text["proposed"], made.launch.proposed),
            (text["crossing"], crossing),
            (text["share"], used > 0.85 * budget),
            (text["steep"], made.home.altitude_m > 120.0),
            (
                text["rally_land"].format(", ".join(p.place.name for p in made.rally)),
                bool(made.rally),
            ),
        )
        if holds
    ]
    risks += _notes([note for run in runs for note in run.notes], text)
    profile, lowest = _profile(plan, made)
    speeds = sorted({run.speed_m_s for run in runs})
    return {
        "sortie_id": sortie.sortie_id,
        "launch": f"{made.launch.name} ({made.launch.lon_deg:.6f}, {made.launch.lat_deg:.6f})",
        "rows": [
            *_whose(plan, made, slot),
            ("duration", f"{made.cost.time_s / 60:.1f} {text['min']}"),
            ("length", f"{_length(made.cost.points) / 1000:.2f} km, {text['lanes']} "
             f"{sum(run.length_m for run in runs) / 1000:.2f} km"),
            ("photos", str(sortie.details["photos"])),
            ("energy", f"{used:.0f} / {budget:.0f} Wh ({100 * used / budget:.0f} %)"),
            ("rtl", f"{made.home.altitude_m:.0f} m"),
            ("rally", rally or text["no_rally"]),
            ("lowest", f"{lowest:.1f} m ({plan.survey.safety.clearance_m:.0f} + "
             f"{plan.survey.safety.dem_error_m:.0f} m)"),
            ("speed", f"{speeds[0]:.1f}–{speeds[-1]:.1f} m/s"),
            ("trigger", f"{min(r.spacing_m for r in runs):.1f}–"
             f"{max(r.spacing_m for r in runs):.1f} m"),
            ("items", f"{len(sortie.mission.all_items)} / {plan.survey.aircraft.max_items}"),
        ],
        "lanes": [
            f"{plan.boundaries[run.boundary].route} "
            f"{text[plan.boundaries[run.boundary].side.value]} "
            f"{format_station(max(0.0, run.chainage_m[-1 if segment.reverse else 0]))} → "
            f"{format_station(max(0.0, run.chainage_m[0 if segment.reverse else -1]))} "
            f"({text[run.mode]})"
            for segment in made.segments if (run := segment.run) is not None
        ],
        "risks": risks,
        "has_rally": bool(made.rally),
        "map": Markup(_map(plan, sortie, made)),
        "profile": Markup(profile),
    }  # fmt: skip


def _whose(plan: SurveyPlan, made: PlannedSortie, slot: Slot | None) -> list[tuple[str, str]]:
    """When, by whom, and in whose district; what is not known is left out."""
    rows = []
    if slot is not None:
        rows.append(("when", f"{slot.start:%Y-%m-%d %H:%M}–{slot.end:%H:%M}, {slot.team}"))
    if made.district:
        contact = plan.districts.contact(made.district, plan.survey)
        rows.append(("district", f"{made.district}, {contact}" if contact else made.district))
    return rows


def _notes(notes: Sequence[str], text: dict[str, str]) -> list[str]:
    """The planner's remarks in the page's language; of slower lanes the slowest for each reason."""
    slowest: dict[str, tuple[float, str]] = {}
    others = set()
    for note in notes:
        found = re.fullmatch(r"([\d.]+) m/s instead of ([\d.]+) m/s \((.+)\)", note)
        if found is None:
            others.add(note)
        elif found[3] not in slowest or float(found[1]) < slowest[found[3]][0]:
            slowest[found[3]] = (float(found[1]), found[2])
    return sorted(others) + [
        text["slower"].format(speed, wished, text.get(reason, reason))
        for reason, (speed, wished) in sorted(slowest.items())
    ]


def _length(points: FloatArray) -> float:
    return float(np.hypot(*np.diff(points[:, :2], axis=0).T).sum())


def _polyline(xy: FloatArray, style: str) -> str:
    points = " ".join(f"{x:.1f},{y:.1f}" for x, y in xy)
    return f'<polyline points="{points}" {style}/>'


def _map(plan: SurveyPlan, sortie: Sortie, made: PlannedSortie) -> str:
    width, height = _MAP
    ring = plan.frame.to_xy(sortie.geofence.polygons[0].lonlat)
    low, high = ring.min(axis=0), ring.max(axis=0)
    scale = min((width - 20) / (high[0] - low[0]), (height - 20) / (high[1] - low[1]))
    shift = (np.array([width, height]) - scale * (high - low)) / 2

    def px(xy: FloatArray) -> FloatArray:
        flat = shift + scale * (np.atleast_2d(xy) - low)
        return np.column_stack([flat[:, 0], height - flat[:, 1]])

    parts = [f'<svg viewBox="0 0 {width:.0f} {height:.0f}" class="map">']
    parts.append(_polyline(px(np.vstack([ring, ring[:1]])), 'class="fence"'))
    view = shapely.box(*low, *high)
    for boundary in plan.boundaries:
        for part in range(len(boundary.parts)):
            line = shapely.LineString(Track.of(boundary, part, plan.frame).xy)
            for piece in shapely.get_parts(shapely.intersection(line, view)):
                if piece.geom_type == "LineString":
                    parts.append(_polyline(px(shapely.get_coordinates(piece)), 'class="boundary"'))
    for segment in made.segments:
        if len(segment.xyz) > 1 and segment.kind in ("transit", "lane"):
            parts.append(_polyline(px(segment.xyz[:, :2]), f'class="{segment.kind}"'))
    for point in made.rally:
        x, y = px(point.place.xy)[0]
        parts.append(
            f'<path d="M{x - 6:.1f} {y + 5:.1f} h12 l-6 -11 z" class="rally"/>'
            f'<text x="{x + 8:.1f}" y="{y + 4:.1f}">{escape(point.place.name)}</text>'
        )
    x, y = px(made.launch.xy)[0]
    parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="5" class="home"/>')
    bar = 10 ** np.floor(np.log10((width / 3) / scale))
    parts.append(
        f'<path d="M12 {height - 12} h{bar * scale:.1f}" class="bar"/>'
        f'<text x="12" y="{height - 17}">{bar:.0f} m</text>'
        f'<path d="M{width - 18} 34 v-22 l-5 9 m5 -9 l5 9" class="bar"/>'
        f'<text x="{width - 22}" y="46">N</text></svg>'
    )
    return "".join(parts)


def _profile(plan: SurveyPlan, made: PlannedSortie) -> tuple[str, float]:
    """The height profile as SVG, and the least clearance on it."""
    width, height = _PROFILE
    points = made.cost.points
    at = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(points[:, :2], axis=0).T))])
    s = np.linspace(0.0, at[-1], 1200)
    xy = np.column_stack([np.interp(s, at, points[:, k]) for k in (0, 1)])
    ground = plan.dem.ground_m(xy)
    z = np.interp(s, at, points[:, 2])
    away = np.hypot(*(xy - made.launch.xy).T) > 2.0
    lowest = float(np.nanmin(np.where(away, z - ground, np.inf)))
    base = float(np.nanmin(ground)) - 10.0
    top = max(float(points[:, 2].max()), float(np.nanmax(ground)) + 10.0) + 15.0
    across, up = (width - 50) / max(at[-1], 1.0), (height - 30) / (top - base)

    def px(values: FloatArray, along: FloatArray) -> FloatArray:
        return np.column_stack([45 + across * along, height - 20 - up * (values - base)])

    clear = ground + plan.airspace.total_clearance_m
    area = px(np.concatenate([ground, [base, base]]), np.concatenate([s, [s[-1], s[0]]]))
    grid = []
    for value in np.linspace(base, top, 5):
        y = height - 20 - up * (value - base)
        grid.append(
            f'<path d="M45 {y:.1f} H{width - 5}" class="grid"/>'
            f'<text x="2" y="{y + 3:.1f}">{value:.0f} m</text>'
        )
    for value in np.linspace(0, at[-1], 6):
        x = min(28 + across * value, width - 38)
        grid.append(f'<text x="{x:.1f}" y="{height - 5}">{value / 1000:.1f} km</text>')
    polygon = " ".join(f"{x:.1f},{y:.1f}" for x, y in area)
    svg = (
        f'<svg viewBox="0 0 {width:.0f} {height:.0f}" class="profile">{"".join(grid)}'
        f'<polygon points="{polygon}" class="terrain"/>'
        + _polyline(px(np.minimum(clear, top), s), 'class="floor"')
        + _polyline(px(points[:, 2], at), 'class="path"')
        + "".join(_lane_marks(made.segments, px))
        + "</svg>"
    )
    return svg, lowest


def _lane_marks(segments: Sequence[Segment], px: Any) -> list[str]:
    """Thicker pieces of the profile where the camera is on."""
    marks, start = [], 0.0
    for segment in segments:
        steps = np.hypot(*np.diff(segment.xyz[:, :2], axis=0).T)
        along = start + np.concatenate([[0.0], np.cumsum(steps)])
        if segment.kind == "lane":
            marks.append(_polyline(px(segment.xyz[:, 2], along), 'class="camera"'))
        start = float(along[-1])
    return marks
