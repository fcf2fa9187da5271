"""How well the state of the fence is read, on generated scenes that nothing was developed on.

    python benchmarks/fence_scenes.py [--seeds 10001-10012] [--length 300] [--gsd 0.02]
                                      [--difficulty real] [--fence KIND] [--season S]
                                      [--keep FOLDER] [--json OUT]

Generates each scene, analyses it (fence only), and prints the pooled score of `fencewalk score`,
every breach of 1 m and more that was called intact, and CPU seconds per kilometre of fence. Scenes
that are in the kept folder already are not generated again.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path

from analysis.pipeline import AnalyzeSpec, Sources, analyze
from analysis.score import as_json, as_text, score
from corridor import read_boundaries
from scenes import Difficulty, FenceKind, SceneSpec, Season, generate

BAND_M = 8.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", default="10001-10012")
    parser.add_argument("--length", type=float, default=300.0)
    parser.add_argument("--gsd", type=float, default=0.02)
    parser.add_argument("--difficulty", default="real")
    parser.add_argument("--fence")
    parser.add_argument("--season")
    parser.add_argument("--keep", type=Path)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    first, _, last = given.seeds.partition("-")
    with tempfile.TemporaryDirectory() as scratch:
        root = given.keep or Path(scratch)
        pairs, fence_m, cpu_s = [], 0.0, 0.0
        for seed in range(int(first), int(last or first) + 1):
            folder = root / f"{seed}"
            if not (folder / "truth.gpkg").is_file():
                spec = SceneSpec(
                    seed=seed,
                    gsd_m=given.gsd,
                    length_m=given.length,
                    band_m=BAND_M,
                    difficulty=Difficulty(given.difficulty),
                    fence=FenceKind(given.fence) if given.fence else None,
                    season=Season(given.season) if given.season else None,
                )
                generate(spec, folder)
            boundaries = read_boundaries(folder / "boundaries.geojson")
            sources = Sources(orthos=(folder / "ortho.tif",), boundaries=boundaries)
            start = time.process_time()
            analyze(sources, folder / "findings", AnalyzeSpec(footpaths=False))
            cpu_s += time.process_time() - start
            fence_m += sum(boundary.length_m for boundary in boundaries)
            pairs.append((folder / "findings", folder / "truth.gpkg"))
            print(f"{seed}: {fence_m / 1000:.2f} km", flush=True)
        result = score(pairs)
        print(as_text(result))
        print(f"{cpu_s / fence_m * 1000:.1f} CPU s per km of fence, the report included")
        if given.json:
            given.json.write_text(json.dumps(as_json(result), indent=2) + "\n")


if __name__ == "__main__":
    main()
