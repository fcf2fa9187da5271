"""Who flies when: inside the sun's windows, within the hours, the same answer every time."""

from __future__ import annotations

import itertools
from datetime import date

import pytest

from corridor import InputError
from missions.schedule import Flight, Slot, make_schedule, sun_windows_min
from missions.survey import Survey, survey_from

ZUNYI = (106.9, 27.7)
FLIGHTS = [Flight(f"S{k:02d}", f"L{k // 3}", 1200.0 + 60.0 * (k % 4)) for k in range(30)]


def survey(**schedule: object) -> Survey:
    return survey_from(
        {
            "schedule": {"start": "2026-03-02", "days": 20, **schedule},
            "team": [{"name": "A"}, {"name": "B"}, {"name": "C"}],
        },
        "survey.toml",
    )


def test_the_sun_is_high_enough_from_morning_to_afternoon() -> None:
    # At the equinox cos(hour angle) = sin 20° / cos 27.7°: 4.49 h before and after solar noon,
    # which is at 12:52 by the longitude and 7.5 min later by the equation of time.
    windows = sun_windows_min(*ZUNYI, date(2026, 3, 20), 20.0, 75.0, 8.0)
    assert len(windows) == 1
    assert windows[0][0] == pytest.approx(8 * 60 + 31, abs=10)
    assert windows[0][1] == pytest.approx(17 * 60 + 29, abs=10)


def test_hours_of_a_sun_too_high_are_left_out() -> None:
    windows = sun_windows_min(*ZUNYI, date(2026, 6, 21), 20.0, 75.0, 8.0)
    assert len(windows) == 2
    # Solar noon is at about 12:54 by this clock.
    assert windows[0][1] < 12 * 60 + 54 < windows[1][0]


@pytest.mark.parametrize("start", ["2026-03-02", "2026-06-15"])
def test_every_sortie_is_flown_once_in_the_light_and_within_the_hours(start: str) -> None:
    plan = survey(start=start)
    slots = make_schedule(plan, FLIGHTS, ZUNYI, "survey.toml")
    assert sorted(slot.sortie_id for slot in slots) == [flight.sortie_id for flight in FLIGHTS]
    for slot in slots:
        windows = sun_windows_min(*ZUNYI, slot.day, 20.0, 75.0, 8.0)
        begins = slot.start.hour * 60 + slot.start.minute
        ends = slot.end.hour * 60 + slot.end.minute
        assert any(a <= begins and ends <= b + 1 for a, b in windows)
    days: dict[tuple[str, date], list[Slot]] = {}
    for slot in slots:
        days.setdefault((slot.team, slot.day), []).append(slot)
    for day in days.values():
        ordered = sorted(day, key=lambda slot: slot.start)
        for one, other in itertools.pairwise(ordered):
            # A quarter of an hour between landing and the next take-off.
            assert (other.start - one.end).total_seconds() >= 14 * 60
        assert sum((slot.end - slot.start).total_seconds() for slot in day) <= 4 * 3600
    work = dict.fromkeys("ABC", 0.0)
    for slot in slots:
        work[slot.team] += (slot.end - slot.start).total_seconds() / 60.0
    assert max(work.values()) - min(work.values()) <= 75.0


def test_the_same_flights_give_the_same_schedule() -> None:
    first = make_schedule(survey(), FLIGHTS, ZUNYI, "survey.toml")
    assert first == make_schedule(survey(), FLIGHTS, ZUNYI, "survey.toml")


def test_days_held_back_for_weather_stay_free() -> None:
    slots = make_schedule(survey(days=10, weather_reserve_frac=0.5), FLIGHTS, ZUNYI, "x")
    assert max(slot.day for slot in slots) <= date(2026, 3, 6)


@pytest.mark.parametrize(
    ("schedule", "message"),
    [
        ({"days": 1}, r"do not fit 1 days.*days would do, or more teams"),
        ({"sun_min_deg": 61.0}, "widen schedule.sun_min_deg"),
        ({"sun_min_deg": 89.0}, "sun in its window: 0 min"),
    ],
)
def test_what_does_not_fit_says_what_would(schedule: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        make_schedule(survey(**schedule), FLIGHTS, ZUNYI, "survey.toml")
