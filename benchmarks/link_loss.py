"""Uploads over bad links: none may end silently wrong.

    .venv/bin/python benchmarks/link_loss.py --uploads 1000 --cuts 200

Each upload goes through a proxy that loses 30 % of the frames each way, doubles some and delays
others; then uploads are cut at a random byte. After each the vehicle's own store is looked at:
`verified` must mean that it holds exactly what was sent, and a failure must have been reported.
Times of the protocol are scaled with the stand-in's speed-up.
"""

from __future__ import annotations

import random
import sys
import time
from collections import Counter
from pathlib import Path

import click

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from link_tools import LossyProxy, serving, small_sortie

from missions.link.connection import LinkError, open_link
from missions.link.rules import differences
from missions.link.transfer import Timing
from missions.link.upload import upload_sortie, wire_lists

SPEEDUP = 20.0
TIMING = Timing().scaled(1.0 / SPEEDUP)


def one(port: int, server: object, seed: int, loss: float, cut: int | None) -> str:
    sortie = small_sortie(4 + seed % 5)
    vehicle = server.vehicle  # type: ignore[attr-defined]
    shares = (loss, 0.1, 0.3) if loss else (0.0, 0.0, 0.0)
    with LossyProxy(port, *shares, delay_s=2.0 / SPEEDUP, cut_after=cut, seed=seed) as proxy:
        try:
            with open_link(proxy.address) as link:
                link.keep_alive()
                link.wait_for_vehicle(5.0)
                result = upload_sortie(
                    link, sortie, force="benchmark", timing=TIMING, ready_wait_s=0.2
                )
        except LinkError:
            return "no vehicle found"
        proxy.drain()
    time.sleep(0.02)
    stores = {kind: protocol.store for kind, protocol in vehicle.protocols.items()}
    sent = wire_lists(sortie)
    equal = all(not differences(sent[k], stores[k].items, k) for k in sent)
    if result.verified:
        return "verified, equal" if equal else "VERIFIED, NOT EQUAL"
    if "MUST NOT BE ARMED" not in result.message:
        return "FAILED WITHOUT A WARNING"
    said_cleared = "were cleared" in result.message
    empty = all(not stores[k].items for k in sent)
    if said_cleared and not empty:
        return "SAID CLEARED, NOT EMPTY"
    return "reported failed, cleared" if said_cleared else "reported failed, not cleared"


@click.command()
@click.option("--uploads", default=1000)
@click.option("--cuts", default=200)
@click.option("--loss", default=0.3)
def main(uploads: int, cuts: int, loss: float) -> None:
    bad = 0
    with serving(speedup=SPEEDUP) as (server, port):
        time.sleep(2)
        for name, count in (("uploads", uploads), ("cuts", cuts)):
            chance = random.Random(20_26)
            outcomes: Counter[str] = Counter()
            begin = time.monotonic()
            for k in range(count):
                cut = chance.randrange(60, 1800) if name == "cuts" else None
                outcomes[one(port, server, k, 0.0 if cut else loss, cut)] += 1
                if (k + 1) % 25 == 0:
                    click.echo(f"{name} {k + 1}: {dict(outcomes)}", err=True)
            click.echo(f"{name} ({count}, {time.monotonic() - begin:.0f} s):")
            for text, number in outcomes.most_common():
                click.echo(f"  {number:5d}  {text}")
                bad += number if text.isupper() or text.split(",")[0].isupper() else 0
    click.echo("none silent" if not bad else f"{bad} SILENTLY WRONG")
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
