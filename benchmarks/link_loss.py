"""Uploads over bad links: none may end silently wrong.

    .venv/bin/python benchmarks/link_loss.py --uploads 1000 --cuts 200

Each upload loses 30 % of the frames each way, a tenth is doubled, three tenths come up to 2 s late
and so out of order; then uploads are cut at a random byte of some 1,600, a quarter of them in the
station's direction only. After each, when the last late frame has arrived, the vehicle's own stores
are looked at: `verified` must mean that they hold exactly what was sent, a failure must have been
reported with its warning, and what the report says is on board must be there. Station, link and
vehicle share a simulated clock (tests/virtual_link.py), so that the times are those of a real link
and the same on any machine. `--sockets` puts sockets and a proxy in its place, at 20 times.
"""

from __future__ import annotations

import random
import sys
import time
from collections import Counter
from pathlib import Path

import click
import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from link_tools import Bench, LossyProxy, serving, small_sortie
from virtual_link import Weather, ready_bench, virtual_link

from missions.link.connection import LinkError, open_link
from missions.link.rules import differences
from missions.link.transfer import Timing
from missions.link.upload import UploadResult, upload_sortie, wire_lists
from missions.mission import Sortie
from sitl.stand_in.server import Server
from sitl.stand_in.vehicle import Vehicle

SPEEDUP = 20.0


def judge(result: UploadResult, sortie: Sortie, vehicle: Vehicle) -> str:
    """How it ended, in capitals where it ended silently wrong."""
    stores = {kind: p.store for kind, p in vehicle.protocols.items()}
    sent = wire_lists(sortie)
    if result.verified:
        equal = all(not differences(sent[k], stores[k].items, k) for k in sent)
        return "verified, equal" if equal else "VERIFIED, NOT EQUAL"
    if "MUST NOT BE ARMED" not in result.message:
        return "FAILED WITHOUT A WARNING"
    for kind, said in result.lists.items():
        if said.state != "unknown" and said.count != len(stores[kind].items):
            return f"SAID {said.state.upper()}, WHICH IS NOT SO"
    if "were cleared" in result.message:
        return "reported failed, cleared"
    return (
        "reported failed, not cleared (" + ", ".join(s.state for s in result.lists.values()) + ")"
    )


def virtual(bench: Bench, seed: int, weather: Weather) -> tuple[str, float]:
    """One upload on the simulated clock; its end, and how long it took."""
    sortie = small_sortie(4 + seed % 5)
    with virtual_link(weather, seed, bench) as (link, way):
        try:
            link.wait_for_vehicle(60.0)
        except LinkError:
            return "no vehicle found", 0.0
        begin = way.now_s
        result = upload_sortie(link, sortie, force="benchmark")
        took_s = way.now_s - begin
        way.drain()
    return judge(result, sortie, bench.vehicle), took_s


def through_sockets(
    port: int, server: Server, seed: int, loss: float, cut: int | None
) -> tuple[str, float]:
    """The same through sockets and a proxy, 20 times as fast."""
    sortie = small_sortie(4 + seed % 5)
    timing = Timing().scaled(1.0 / SPEEDUP)
    shares = (loss, 0.1, 0.3) if loss else (0.0, 0.0, 0.0)
    begin = time.monotonic()
    with LossyProxy(port, *shares, delay_s=2.0 / SPEEDUP, cut_after=cut, seed=seed) as proxy:
        try:
            with open_link(proxy.address) as link:
                link.keep_alive()
                link.wait_for_vehicle(5.0)
                result = upload_sortie(
                    link, sortie, force="benchmark", timing=timing, ready_wait_s=0.2
                )
        except LinkError:
            return "no vehicle found", 0.0
        proxy.drain()
    time.sleep(0.02)
    return judge(result, sortie, server.vehicle), (time.monotonic() - begin) * SPEEDUP


def report(name: str, outcomes: Counter[str], times_s: list[float]) -> int:
    """Prints a table; gives the number of silent ends."""
    low, middle, high = np.percentile(times_s or [0.0], [5, 50, 95])
    click.echo(
        f"{name} ({sum(outcomes.values())}), {low:.0f}, {middle:.0f}, {high:.0f} s at 5, 50, 95 %:"
    )
    bad = 0
    for text, number in outcomes.most_common():
        click.echo(f"  {number:5d}  {text}")
        bad += number if text.split(",")[0].isupper() else 0
    return bad


@click.command()
@click.option("--uploads", default=1000)
@click.option("--cuts", default=200)
@click.option("--loss", default=0.3)
@click.option("--sockets", is_flag=True, help="Real sockets, in hours instead of a minute.")
def main(uploads: int, cuts: int, loss: float, sockets: bool) -> None:
    chance = random.Random(20_26)
    bad = 0
    with serving(speedup=SPEEDUP) as (server, port):
        time.sleep(2 if sockets else 0)
        bench = ready_bench()
        for name, count in (("uploads", uploads), ("cuts", cuts)):
            outcomes: Counter[str] = Counter()
            times_s = []
            for k in range(count):
                cut = chance.randrange(60, 1600) if name == "cuts" else None
                if sockets:
                    end, took_s = through_sockets(port, server, k, 0.0 if cut else loss, cut)
                elif cut:
                    weather = Weather(cut_after=cut, cut_up_only=chance.random() < 0.25)
                    end, took_s = virtual(bench, k, weather)
                else:
                    end, took_s = virtual(bench, k, Weather(loss, 0.1, 0.3))
                outcomes[end] += 1
                times_s.append(took_s)
            bad += report(name, outcomes, times_s)
    click.echo("none silent" if not bad else f"{bad} SILENTLY WRONG")
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
