"""Frames matched to shots: by time, with holes on either side, and tagged without loss."""

import datetime as dt
import gzip
import math
import shutil
import struct
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corridor import InputError
from corridor.photo import PhotoTags, read_tags, tag_jpeg, write_tags
from corridor.shots import Shot, camera_angles, read_shots, write_shots
from fencewalk.cli import main
from missions.geotag import flight_shots, geotag, match_frames

REFERENCE = Path(__file__).parents[1] / "../shared/sitl-reference"


def jpeg(value=120):
    picture = np.random.default_rng(value).integers(0, 255, (24, 32, 3)).astype(np.uint8)
    return cv2.imencode(".jpg", picture)[1].tobytes()


def flight_times(count, seed=0):
    """A shot every 1.26 s, and a pause for the turn after every 20."""
    rng = np.random.default_rng(seed)
    pauses = np.where(np.arange(count) % 20 == 19, rng.uniform(5, 9, count), 1.26)
    return 1.7e9 + np.cumsum(pauses + rng.normal(0, 0.02, count))


def test_every_frame_in_its_place():
    shots = flight_times(60)
    match = match_frames(list(shots + 3.4), shots)
    assert match.pairs == tuple((n, n) for n in range(60))
    assert match.offset_s == pytest.approx(3.4, abs=1e-3)
    assert match.residual_s < 0.01


@settings(max_examples=25, deadline=None)
@given(
    st.integers(0, 1000),
    st.sets(st.integers(1, 58), max_size=6),
    st.sets(st.integers(1, 58), max_size=4),
    st.floats(-40_000, 40_000),
)
def test_holes_on_either_side_shift_nothing(seed, no_frame, no_report, offset_s):
    """Frames that are missing, reports that are missing, seconds cut off, any clock."""
    shots = flight_times(60, seed)
    with_frame = [n for n in range(60) if n not in no_frame]
    reported = [n for n in range(60) if n not in no_report]
    frames = [float(np.floor(shots[n] + offset_s)) for n in with_frame]
    match = match_frames(frames, shots[reported])
    assert {(with_frame[i], reported[j]) for i, j in match.pairs} == {
        (n, n) for n in set(with_frame) & set(reported)
    }
    assert {with_frame[i] for i in match.frames_left} == set(no_report) - set(no_frame)
    assert {reported[j] for j in match.shots_left} == set(no_frame) - set(no_report)


def test_a_regular_row_with_one_missing_at_an_end_is_not_guessed():
    shots = 1e9 + 1.25 * np.arange(30)
    with pytest.raises(InputError, match=r"fit the 30 shots equally well.*--clock-offset"):
        match_frames(list(shots[1:] + 7.0), shots)
    match = match_frames(list(shots[1:] + 7.0), shots, offset_s=7.0)
    assert match.pairs == tuple((n, n + 1) for n in range(29))
    assert match.shots_left == (0,)


def test_without_times_only_equal_counts_will_do():
    shots = flight_times(5)
    assert match_frames([None] * 5, shots).pairs == tuple((n, n) for n in range(5))
    with pytest.raises(InputError, match="4 of 4 have no time in their EXIF, and the flight has 5"):
        match_frames([None] * 4, shots)


def test_tags_leave_the_pixels_as_they_are():
    data = jpeg()
    tags = PhotoTags(lon_deg=-106.5, lat_deg=-29.25, altitude_m=-12.5, yaw_deg=200.0, pitch_deg=-90)
    tagged = tag_jpeg(data, tags)
    body = data[data.index(b"\xff\xdb") :]  # from the first quantisation table on
    assert tagged.endswith(body)
    again = tag_jpeg(tagged, PhotoTags(height_m=40.0))
    assert again.endswith(body)
    assert again.count(b"Exif\x00\x00") == 1


def test_tags_are_read_back(tmp_path):
    path = tmp_path / "a.jpg"
    path.write_bytes(jpeg())
    when = dt.datetime(2026, 3, 1, 4, 5, 6, 250_000, tzinfo=dt.timezone(dt.timedelta(hours=8)))
    tags = PhotoTags(
        lon_deg=106.75127081, lat_deg=29.62064682, altitude_m=290.22, height_m=40.13,
        yaw_deg=-64.127, pitch_deg=-45.0, roll_deg=0.5, flight_yaw_deg=10.0, flight_pitch_deg=-21.5,
        flight_roll_deg=3.0, taken_at=when, sigma_horizontal_m=1.5, sigma_vertical_m=2.5, rtk=False,
        make="A", model="B", focal_mm=8.8, focal_35mm=24.0,
    )  # fmt: skip
    write_tags(path, tags)
    found = read_tags(path)
    for name in PhotoTags.__dataclass_fields__:
        wanted = getattr(tags, name)
        if isinstance(wanted, float):
            assert getattr(found, name) == pytest.approx(wanted, abs=2e-4), name
        else:
            assert getattr(found, name) == wanted, name
    assert (found.lon_deg, found.lat_deg) == pytest.approx((106.75127081, 29.62064682), abs=1e-9)


def test_what_was_there_stays(tmp_path):
    path = tmp_path / "a.jpg"
    path.write_bytes(jpeg())
    write_tags(path, PhotoTags(model="Camera", taken_at=dt.datetime(2026, 1, 2, 3, 4, 5)))
    write_tags(path, PhotoTags(lon_deg=1.0, lat_deg=2.0, rtk=True))
    found = read_tags(path)
    assert (found.model, found.rtk, found.lat_deg) == ("Camera", True, 2.0)
    assert found.taken_at == dt.datetime(2026, 1, 2, 3, 4, 5)


def test_other_formats_get_a_file_beside_them(tmp_path):
    path = tmp_path / "raw.dng"
    path.write_bytes(b"II*\x00 not really")
    assert write_tags(path, PhotoTags(lon_deg=-1.5, lat_deg=2.25)) == tmp_path / "raw.xmp"
    assert path.read_bytes() == b"II*\x00 not really"
    text = (tmp_path / "raw.xmp").read_text()
    assert 'exif:GPSLongitude="1,30.00000000W"' in text
    assert read_tags(path).lat_deg == 2.25


@pytest.mark.parametrize(
    "data", [b"", b"\xff\xd8", b"\xff\xd8\xff\xe1\x00", b"\xff\xd8zz" + b"0" * 9]
)
def test_broken_jpegs_are_refused(tmp_path, data):
    path = tmp_path / "a.jpg"
    path.write_bytes(data)
    with pytest.raises(InputError, match=r"no whole JPEG|is empty"):
        write_tags(path, PhotoTags(lon_deg=1.0, lat_deg=2.0))


@given(st.binary(max_size=400))
def test_any_bytes_can_be_asked_for_tags(tmp_path_factory, data):
    path = tmp_path_factory.getbasetemp() / "any.jpg"
    path.write_bytes(b"\xff\xd8\xff\xe1\x00\x40Exif\x00\x00" + data)
    read_tags(path, 10, 10)


def test_positions_of_nowhere_are_none(tmp_path):
    path = tmp_path / "a.jpg"
    path.write_bytes(jpeg())
    write_tags(path, PhotoTags(lon_deg=0.0, lat_deg=0.0, altitude_m=0.0))
    assert read_tags(path).lon_deg is None


def make_frames(folder, times, drop=(), shift_s=0.0):
    folder.mkdir()
    number = 0
    for n, unix_s in enumerate(times):
        if n in drop:
            continue
        number += 1
        taken = dt.datetime.fromtimestamp(int(unix_s + shift_s), dt.UTC).replace(tzinfo=None)
        data = tag_jpeg(jpeg(number % 7), PhotoTags(taken_at=taken))
        (folder / f"DSC{number:05d}.JPG").write_bytes(data)
    return folder


@pytest.fixture(scope="module")
def real_log(tmp_path_factory):
    packed = REFERENCE / "nominal" / "flight.tlog.gz"
    if not packed.is_file():
        pytest.skip("no recorded flights beside the project")
    log = tmp_path_factory.mktemp("log") / "flight.tlog"
    with gzip.open(packed) as source, log.open("wb") as target:
        shutil.copyfileobj(source, target)
    return log


@pytest.mark.data
def test_a_real_log_gives_the_photos_of_its_table(real_log):
    log = flight_shots(real_log)
    table = read_shots(REFERENCE / "nominal" / "photos.csv")
    assert len(log.shots) == len(table) == 261
    assert log.lost == ()
    for ours, theirs in zip(log.shots, table, strict=True):
        assert (ours.lon_deg, ours.lat_deg) == pytest.approx((theirs.lon_deg, theirs.lat_deg))
        assert (ours.altitude_m, ours.pitch_deg) == (theirs.altitude_m, theirs.pitch_deg)
        assert abs(ours.time_boot_ms - theirs.time_boot_ms) <= 300


@pytest.mark.data
def test_geotagging_a_real_flight_names_what_is_missing(real_log, tmp_path, capsys):
    log = flight_shots(real_log)
    frames = make_frames(tmp_path / "frames", log.unix_s, {17, 18, 100}, 8 * 3600 + 37.3)
    with pytest.raises(SystemExit) as stopped:
        main(["geotag", str(real_log.parent), str(frames), "--out", str(tmp_path / "tagged")])
    assert stopped.value.code == 1
    said = capsys.readouterr()
    assert "258 frames tagged" in said.out
    assert "No frame for shots 18, 19, 101" in said.err
    tags = read_tags(tmp_path / "tagged" / "DSC00099.JPG")  # the one after the third hole
    assert tags.lat_deg == pytest.approx(log.shots[101].lat_deg, abs=1e-9)
    assert tags.flight_pitch_deg == pytest.approx(log.shots[101].pitch_deg, abs=1e-3)
    assert read_tags(frames / "DSC00099.JPG").lat_deg is None  # the originals are as they were


def write_dataflash(path, rows):
    """A dataflash log with CAM messages and what a reader needs to make sense of them."""
    head = b"\xa3\x95"

    def described(number, length, name, form, columns):
        return head + bytes([128]) + struct.pack(
            "<BB4s16s64s", number, length, name.encode(), form.encode(), columns.encode()
        )  # fmt: skip

    cam = "TimeUS,I,Img,GPSTime,GPSWeek,Lat,Lng,Alt,RelAlt,GPSAlt,R,P,Y"
    out = described(128, 89, "FMT", "BBnNZ", "Type,Length,Name,Format,Columns")
    out += described(150, 3 + struct.calcsize("<QBHIHiiffffff"), "CAM", "QBHIHLLffffff", cam)
    for row in rows:
        out += head + bytes([150]) + struct.pack("<QBHIHiiffffff", *row)
    path.write_bytes(out)


def test_a_dataflash_log(tmp_path):
    rows = [
        (
            60_000_000 + 1_300_000 * n, 0, n + 1, 100_000 + 1300 * n, 2400, 296_200_000 + 10 * n,
            1_067_500_000, 290.0, 40.0, 291.0, 1.0, -20.0, 64.0,
        )
        for n in range(5)
        if n != 2
    ]  # fmt: skip
    write_dataflash(tmp_path / "00000001.BIN", rows)
    log = flight_shots(tmp_path)
    assert [shot.index for shot in log.shots] == [1, 2, 4, 5]
    assert log.lost == (3,)
    assert log.shots[1].lat_deg == pytest.approx(29.620001)
    assert log.shots[0].altitude_m == pytest.approx(290.0)
    assert log.shots[0].pitch_deg == pytest.approx(-20.0)
    assert log.shots[0].time_boot_ms == 60_000
    # GPS week 2400 began on 2026-01-04; UTC is 18 s behind.
    began = dt.datetime(2026, 1, 4, tzinfo=dt.UTC).timestamp()
    assert log.unix_s[0] == pytest.approx(began + 100.0 - 18.0)


def test_logs_that_are_none(tmp_path):
    with pytest.raises(InputError, match="holds no flight log"):
        flight_shots(tmp_path)
    with pytest.raises(InputError, match="no such file"):
        flight_shots(tmp_path / "flight.tlog")
    (tmp_path / "flight.tlog").write_bytes(b"")
    with pytest.raises(InputError, match=r"flight\.tlog"):
        flight_shots(tmp_path)
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(InputError, match="is no flight log"):
        flight_shots(tmp_path / "notes.txt")


def test_a_flights_own_table_will_do(tmp_path):
    times = flight_times(12) - 1.7e9
    shots = [
        Shot(n + 1, 106.0, 29.0 + n * 1e-4, 300.0, 50.0, 10.0, -5.0, 1.0, round(t * 1000))
        for n, t in enumerate(times)
    ]
    write_shots(tmp_path / "photos.csv", shots)
    frames = make_frames(tmp_path / "frames", 1.8e9 + times)
    result = geotag(tmp_path / "photos.csv", sorted(frames.iterdir()))
    assert result.complete
    assert read_tags(result.tagged[3]).lat_deg == pytest.approx(29.0003)
    assert read_shots(result.photos)[3].file == "DSC00004.JPG"


def test_a_fixed_camera_looks_where_the_aircraft_leans():
    shot = Shot(1, 1.0, 2.0, 3.0, 4.0, 90.0, -20.0, 0.0, 0)
    assert camera_angles(shot) == (90.0, -90.0, 0.0)
    yaw, pitch, _ = camera_angles(shot, "fixed")
    assert (yaw, pitch) == pytest.approx((270.0, -70.0))  # nose down: it looks back


def test_matching_a_thousand_is_quick():
    shots = flight_times(1000, 3)
    frames = [float(np.floor(t)) for n, t in enumerate(shots) if n % 97]
    started = time.process_time()
    match = match_frames(frames, shots)
    assert len(match.pairs) == len(frames)
    assert time.process_time() - started < 20.0


def test_where_the_gimbal_looked_comes_from_the_log(tmp_path):
    from pymavlink.dialects.v20 import ardupilotmega as dialect

    mav = dialect.MAVLink(None, srcSystem=1, srcComponent=1)
    half = math.radians(-40.0) / 2
    rest = (math.nan, math.nan, math.nan, 0)
    place = (296_200_000, 1_067_500_000)

    def at(boot_ms):
        return mav.global_position_int_encode(boot_ms, *place, 290_000, 40_000, 0, 0, 0, 9000)

    def photo(number):
        return mav.camera_feedback_encode(
            number * 10**6, 0, 0, number, *place, 290.0, 40.0, 1.0, -5.0, 90.0, 0.0, 3
        )

    tilted = mav.gimbal_device_attitude_status_encode(
        0, 0, 0, 12, (math.cos(half), 0.0, math.sin(half), 0.0), *rest
    )
    messages = [at(1000), photo(1), tilted, at(1200), photo(2), at(60_000), photo(3)]
    log = tmp_path / "flight.tlog"
    log.write_bytes(
        b"".join(struct.pack(">Q", 10**15 + n * 1000) + m.pack(mav) for n, m in enumerate(messages))
    )
    shots = flight_shots(log).shots
    assert shots[0].gimbal_deg is None
    assert shots[1].gimbal_deg == pytest.approx((90.0, -40.0, 0.0), abs=1e-3)
    assert shots[2].gimbal_deg is None, "a report of a minute ago says nothing"
