"""How well the state of the fence is read, on generated scenes that nothing was developed on.

    python benchmarks/fence_scenes.py [--seeds 10001-10034] [--length 300] [--keep FOLDER]
                                      [--gsd 0.02,0.01,0.03,0.05] [--difficulty real,easy,hard]
                                      [--other-seeds 10001-10008] [--fence KIND] [--season S]
                                      [--footpaths] [--out FOLDER]

The first pixel size and the first difficulty make the main set, all seeds of it; each further one
is varied alone, on the other seeds. Each scene is generated (unless the kept folder holds it
already), analysed (fence only, or with footpaths and what they say of the fence) and scored, and
all tables are printed as Markdown: the bars, by type and width, by fence type, season, difficulty
and pixel size, and every broken metre that was called intact. `--out` keeps them as tables.md,
with scores.json and reliability.svg.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from analysis.pipeline import analyze
from analysis.score import Score, as_json, pooled, read_stated, score_pair, write_diagram
from analysis.sources import AnalyzeSpec, Sources
from corridor import Side, format_station, read_boundaries
from corridor.findings import BreachType, FenceState
from scenes import Difficulty, FenceKind, SceneSpec, Season, generate

BAND_M = 25.0
_LEAST_M = 0.05
"""Of a breach called intact, to be listed: a quarter of a cell is rounding."""


@dataclass(frozen=True)
class Run:
    """One side of one scene, scored."""

    seed: int
    gsd_m: float
    difficulty: str
    fence: str
    season: str
    score: Score
    fence_m: float
    cpu_s: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", default="10001-10034")
    parser.add_argument("--other-seeds", default="10001-10008")
    parser.add_argument("--length", type=float, default=300.0)
    parser.add_argument("--gsd", default="0.02")
    parser.add_argument("--difficulty", default="real")
    parser.add_argument("--fence", type=FenceKind)
    parser.add_argument("--season", type=Season)
    parser.add_argument("--footpaths", action="store_true", help="as a user runs it")
    parser.add_argument("--keep", type=Path)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    gsds_m = [float(value) for value in given.gsd.split(",")]
    levels = [Difficulty(value) for value in given.difficulty.split(",")]
    sets = [(seed, gsds_m[0], levels[0]) for seed in _numbers(given.seeds)]
    others = [(gsd_m, levels[0]) for gsd_m in gsds_m[1:]]
    others += [(gsds_m[0], level) for level in levels[1:]]
    sets += [(seed, *other) for other in others for seed in _numbers(given.other_seeds)]
    runs: list[Run] = []
    with tempfile.TemporaryDirectory() as scratch:
        for seed, gsd_m, level in sets:
            spec = SceneSpec(
                seed=seed,
                gsd_m=gsd_m,
                length_m=given.length,
                band_m=BAND_M,
                difficulty=level,
                fence=given.fence,
                season=given.season,
            )
            folder = (given.keep or Path(scratch)) / _name(spec)
            runs += one_scene(spec, folder, footpaths=given.footpaths)
            print(f"{_name(spec)}: {sum(run.fence_m for run in runs) / 1000:.2f} km", flush=True)
    text = "\n".join(tables(runs, gsds_m[0], levels[0].value))
    print(text)
    if given.out:
        given.out.mkdir(parents=True, exist_ok=True)
        (given.out / "tables.md").write_text(text + "\n", encoding="utf-8")
        chosen = pooled([r.score for r in runs if _is_main(r, gsds_m[0], levels[0].value)])
        (given.out / "scores.json").write_text(json.dumps(as_json(chosen), indent=2) + "\n")
        write_diagram(given.out / "reliability.svg", chosen.calibrations())


def one_scene(spec: SceneSpec, folder: Path, *, footpaths: bool = False) -> Iterator[Run]:
    """Generates a scene, analyses it, and scores each of its sides."""
    if not (folder / "truth.gpkg").is_file():
        generate(spec, folder)
    boundaries = read_boundaries(folder / "boundaries.geojson")
    sources = Sources(orthos=(folder / "ortho.tif",), boundaries=boundaries)
    start_s = time.process_time()
    out = folder / ("findings-all" if footpaths else "findings")
    asked = AnalyzeSpec(footpaths=footpaths, plots=False, outside_m=BAND_M)
    analyze(sources, out, asked)
    cpu_s = time.process_time() - start_s
    made = json.loads((folder / "scene.json").read_text())
    found, truth = read_stated(out), read_stated(folder, "truth.gpkg")
    length_m = sum(boundary.length_m for boundary in boundaries)
    for fence in made["fences"]:
        side = Side(fence["side"])
        yield Run(
            seed=spec.seed,
            gsd_m=spec.gsd_m,
            difficulty=spec.difficulty.value,
            fence=fence["kind"],
            season=made["season"],
            score=score_pair(found.on(side), truth.on(side)),
            fence_m=fence["length_m"],
            cpu_s=cpu_s * fence["length_m"] / length_m,
        )


def tables(runs: Sequence[Run], gsd_m: float, difficulty: str) -> Iterator[str]:
    """All tables, as lines of Markdown."""
    main_set = [run for run in runs if _is_main(run, gsd_m, difficulty)]
    seeds = sorted({run.seed for run in main_set})
    yield f"## Seeds {seeds[0]} to {seeds[-1]}, difficulty {difficulty}, {100 * gsd_m:g} cm"
    yield from _bars(main_set)
    yield from _by_width(pooled([run.score for run in main_set]))
    groups: list[tuple[str, Sequence[Run], Callable[[Run], str]]] = [
        ("fence", main_set, lambda run: run.fence.replace("_", " ")),
        ("season", main_set, lambda run: run.season),
    ]
    same_gsd = [run for run in runs if run.gsd_m == gsd_m]
    if len({run.difficulty for run in same_gsd}) > 1:
        groups.append(("difficulty", _shared(same_gsd), lambda run: run.difficulty))
    same_level = [run for run in runs if run.difficulty == difficulty]
    if len({run.gsd_m for run in same_level}) > 1:
        groups.append(("GSD", _shared(same_level), lambda run: f"{100 * run.gsd_m:g} cm"))
    for name, chosen, key in groups:
        yield from _table(name, chosen, key)
    yield from _called_intact(main_set)


def _bars(runs: Sequence[Run]) -> Iterator[str]:
    """The main set against what is asked of it."""
    total = pooled([run.score for run in runs])
    breaches, states, line = total.breaches, total.states, total.fence_line
    if breaches is None or states is None or line is None:
        raise SystemExit("the findings speak of no fence")
    kinds = breaches.recall_by_type()
    wide = [
        event
        for event in breaches.events
        if event.is_visible and event.breach_type is BreachType.GAP and event.length_m >= 1.0
    ]
    found = sum(bool(event.found_by) for event in wide)
    ece = total.calibrations()["breach"].expected_error if breaches.statements else None
    ece_m = total.calibrations()["fence_state_m"].expected_error
    fence_m = sum(run.fence_m for run in runs)
    collapsed, holes = kinds[BreachType.COLLAPSED], kinds[BreachType.HOLE]
    cpu_s_per_km = 1000 * sum(run.cpu_s for run in runs) / fence_m
    yield ""
    yield f"| what, on {fence_m / 1000:.1f} km of fence | bar | measured |"
    yield "| --- | --- | --- |"
    yield f"| gaps of 1 m and wider found | 0.95 | {_of(found, len(wide))} |"
    yield f"| collapsed panels found | 0.90 | {_of(collapsed.found, collapsed.total)} |"
    yield f"| holes found | reported | {_of(holes.found, holes.total)} |"
    yield f"| false alarms per km | 1 | {_said(breaches.false_alarms_per_km, 2)} |"
    yield (
        "| broken metres (visible, 1 m and more) called `intact` | 2 % | "
        f"{_share(states.broken_called_intact_frac)} ({states.broken_called_intact_m:.0f} of "
        f"{states.broken_m:.0f} m) |"
    )
    yield f"| metres with the right state | 0.95 | {_said(states.right_frac, 3)} |"
    yield f"| line found, median off | 0.10 m | {_said(line.error_m(), 3)} m |"
    yield f"| station error, median | 0.5 m | {_said(breaches.station_error_m(), 2)} m |"
    yield f"| expected calibration error of breaches | 0.05 | {_said(ece, 3)} |"
    yield f"| expected calibration error of states, by metres | | {_said(ece_m, 3)} |"
    yield f"| processor time, report included | 5 s per km | {cpu_s_per_km:.1f} s per km |"


def _by_width(total: Score) -> Iterator[str]:
    if total.breaches is None:
        return
    tally = total.breaches
    names = list(tally.recall_by_width())
    yield ""
    yield f"| found, by length along the fence | {' | '.join(names)} |"
    yield "| --- |" + " --- |" * len(names)
    for kind in BreachType:
        recalls = tally.recall_by_width(kind).values()
        yield f"| {kind.value} | {' | '.join(_of(one.found, one.total) for one in recalls)} |"
    yield f"\nHidden from above: {tally.hidden.total} more, of which {tally.hidden.found} reported."


def _table(name: str, runs: Sequence[Run], key: Callable[[Run], str]) -> Iterator[str]:
    yield ""
    yield (
        f"| {name} | km | gaps ≥ 1 m | collapsed | false per km | broken called `intact` | "
        "right state | `unseen` or `obscured` | line off | ECE |"
    )
    yield "| --- |" + " --- |" * 9
    for value in sorted({key(run) for run in runs}):
        chosen = [run for run in runs if key(run) == value]
        total = pooled([run.score for run in chosen])
        if total.breaches is None or total.states is None or total.fence_line is None:
            continue
        wide = [
            event
            for event in total.breaches.events
            if event.is_visible and event.breach_type is BreachType.GAP and event.length_m >= 1.0
        ]
        lying = total.breaches.recall_by_type()[BreachType.COLLAPSED]
        blind = (FenceState.UNSEEN.value, FenceState.OBSCURED.value)
        blind_m = sum(m for (_, found), m in total.states.metres.items() if found in blind)
        error = total.calibrations().get("breach")
        yield (
            f"| {value} | {sum(run.fence_m for run in chosen) / 1000:.1f} | "
            f"{_of(sum(bool(event.found_by) for event in wide), len(wide))} | "
            f"{_of(lying.found, lying.total)} | {_said(total.breaches.false_alarms_per_km, 1)} | "
            f"{_share(total.states.broken_called_intact_frac)} | "
            f"{_said(total.states.right_frac, 3)} | {_share(blind_m / total.states.total_m)} | "
            f"{_said(total.fence_line.error_m(), 3)} m | "
            f"{_said(error.expected_error if error else None, 2)} |"
        )


def _called_intact(runs: Sequence[Run]) -> Iterator[str]:
    """Each place where a gap or a collapsed panel of 1 m and more is called intact."""
    yield ""
    yield "| seed | side | fence | broken, called `intact` | of | at | found |"
    yield "| --- | --- | --- | --- | --- | --- | --- |"
    for run in runs:
        for event in run.score.breaches.events if run.score.breaches else ():
            intact_m = event.called.get(FenceState.INTACT.value, 0.0)
            counts = event.breach_type is not BreachType.HOLE and event.length_m >= 1.0
            if counts and event.is_visible and intact_m > _LEAST_M:
                yield (
                    f"| {run.seed} | {event.side} | {run.fence.replace('_', ' ')} | "
                    f"{intact_m:.1f} m | {event.breach_type.value} of {event.length_m:.1f} m | "
                    f"{format_station(event.chainage_start_m)} | "
                    f"{'yes' if event.found_by else 'no'} |"
                )


def _shared(runs: Sequence[Run]) -> list[Run]:
    """The runs of those seeds that every pixel size and difficulty among them has."""
    kinds = {(run.gsd_m, run.difficulty) for run in runs}
    seeds = set.intersection(
        *({run.seed for run in runs if (run.gsd_m, run.difficulty) == kind} for kind in kinds)
    )
    return [run for run in runs if run.seed in seeds]


def _is_main(run: Run, gsd_m: float, difficulty: str) -> bool:
    return run.gsd_m == gsd_m and run.difficulty == difficulty


def _name(spec: SceneSpec) -> str:
    """A scene's folder: its seed, and what else is not usual about it."""
    parts = [str(spec.seed)]
    if spec.gsd_m != 0.02:
        parts.append(f"{100 * spec.gsd_m:g}cm")
    if spec.difficulty is not Difficulty.REAL:
        parts.append(spec.difficulty.value)
    parts += [each.value for each in (spec.fence, spec.season) if each]
    return "-".join(parts)


def _numbers(text: str) -> range:
    first, _, last = text.partition("-")
    return range(int(first), int(last or first) + 1)


def _of(found: int, total: int) -> str:
    return f"{found / total:.2f} ({found} of {total})" if total else "–"


def _share(frac: float | None) -> str:
    return "–" if frac is None else f"{100 * frac:.1f} %"


def _said(value: float | None, decimals: int) -> str:
    return "–" if value is None else f"{value:.{decimals}f}"


if __name__ == "__main__":
    main()
