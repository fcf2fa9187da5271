"""What a photograph says about itself: EXIF and XMP, read and written without touching pixels.

Positions go into EXIF's GPS block, the attitude of gimbal and aircraft and the lens into XMP under
DJI's names (`drone-dji:GimbalPitchDegree`, `drone-dji:DewarpData`), which mapping programs read.
Other formats than JPEG get an `.xmp` file beside them.
"""

from __future__ import annotations

import datetime as dt
import math
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import piexif

from corridor.camera import Camera
from corridor.errors import InputError
from corridor.files import atomic_path

_XMP_MARK = b"http://ns.adobe.com/xap/1.0/\x00"
_EXIF_MARK = b"Exif\x00\x00"
_DJI = "http://www.dji.com/drone-dji/1.0/"
_HEAD_BYTES = 1 << 20  # metadata stand before the picture; a makernote with thumbnails fits in


@dataclass(frozen=True)
class PhotoTags:
    """A photograph's own account; None is "does not say".

    Attributes:
        lon_deg, lat_deg: WGS 84.
        altitude_m: above mean sea level (as the receiver has it).
        height_m: above the take-off point.
        yaw_deg, pitch_deg, roll_deg: of the camera (the gimbal), as in `corridor.camera`; yaw from
            true north.
        flight_yaw_deg, flight_pitch_deg, flight_roll_deg: of the aircraft.
        taken_at: without a time zone unless the tags name one.
        sigma_horizontal_m, sigma_vertical_m: of the position, where the receiver says.
        rtk: whether the position is a fixed RTK solution.
        camera: the lens from `DewarpData`, for the picture's own size.
        focal_mm, focal_35mm: from EXIF.
    """

    lon_deg: float | None = None
    lat_deg: float | None = None
    altitude_m: float | None = None
    height_m: float | None = None
    yaw_deg: float | None = None
    pitch_deg: float | None = None
    roll_deg: float | None = None
    flight_yaw_deg: float | None = None
    flight_pitch_deg: float | None = None
    flight_roll_deg: float | None = None
    taken_at: dt.datetime | None = None
    sigma_horizontal_m: float | None = None
    sigma_vertical_m: float | None = None
    rtk: bool | None = None
    make: str = ""
    model: str = ""
    focal_mm: float | None = None
    focal_35mm: float | None = None
    camera: Camera | None = None

    def __post_init__(self) -> None:
        for name, limit in (("lon_deg", 180.0), ("lat_deg", 90.0)):
            value = getattr(self, name)
            if value is not None and not -limit <= value <= limit:
                raise ValueError(f"{name} must be within ±{limit:g}, not {value}")


def read_tags(path: str | Path, width_px: int = 0, height_px: int = 0) -> PhotoTags:
    """Reads EXIF and XMP; what is missing or unreadable is None.

    Args:
        path: JPEG or TIFF; an `.xmp` beside it counts too and wins.
        width_px, height_px: the picture's size, needed to place the lens's principal point.

    Raises:
        InputError: if the file cannot be read at all.
    """
    file = Path(path)
    try:
        with file.open("rb") as stream:
            head = stream.read(_HEAD_BYTES)
    except OSError as error:
        raise InputError(path, f"cannot be read ({error.strerror})") from error
    exif = _load_exif(file, head)
    packet = _xmp_of(head)
    beside = file.with_suffix(".xmp")
    if beside.is_file():
        packet += beside.read_text(encoding="utf-8", errors="replace")
    words = _dji_words(packet)
    gps = exif.get("GPS", {})
    lon_deg = _degrees(gps, piexif.GPSIFD.GPSLongitude, piexif.GPSIFD.GPSLongitudeRef, b"W")
    lat_deg = _degrees(gps, piexif.GPSIFD.GPSLatitude, piexif.GPSIFD.GPSLatitudeRef, b"S")
    if "GpsLongitude" in words and "GpsLatitude" in words:
        lon_deg, lat_deg = _number(words, "GpsLongitude"), _number(words, "GpsLatitude")
    if lon_deg is None or lat_deg is None or not (abs(lon_deg) <= 180 and abs(lat_deg) <= 90):
        lon_deg = lat_deg = None
    if lon_deg == 0.0 and lat_deg == 0.0:  # what receivers write before their first fix
        lon_deg = lat_deg = None
    altitude_m = _rational(gps.get(piexif.GPSIFD.GPSAltitude))
    if altitude_m is not None and gps.get(piexif.GPSIFD.GPSAltitudeRef) in (1, b"\x01"):
        altitude_m = -altitude_m
    if altitude_m is None:
        altitude_m = _number(words, "AbsoluteAltitude")
    details = exif.get("Exif", {})
    sigma_lon, sigma_lat = _number(words, "RtkStdLon"), _number(words, "RtkStdLat")
    sigma_m = None if sigma_lon is None or sigma_lat is None else math.hypot(sigma_lon, sigma_lat)
    if sigma_m is None:
        sigma_m = _rational(gps.get(piexif.GPSIFD.GPSHPositioningError))
    return PhotoTags(
        lon_deg=lon_deg,
        lat_deg=lat_deg,
        altitude_m=altitude_m,
        height_m=_number(words, "RelativeAltitude"),
        yaw_deg=_number(words, "GimbalYawDegree"),
        pitch_deg=_number(words, "GimbalPitchDegree"),
        roll_deg=_number(words, "GimbalRollDegree"),
        flight_yaw_deg=_number(words, "FlightYawDegree"),
        flight_pitch_deg=_number(words, "FlightPitchDegree"),
        flight_roll_deg=_number(words, "FlightRollDegree"),
        taken_at=_taken_at(exif),
        sigma_horizontal_m=sigma_m,
        sigma_vertical_m=_number(words, "RtkStdHgt"),
        rtk=None if "RtkFlag" not in words else words["RtkFlag"].strip() == "50",
        make=_text(exif.get("0th", {}).get(piexif.ImageIFD.Make)),
        model=_text(exif.get("0th", {}).get(piexif.ImageIFD.Model)),
        focal_mm=_rational(details.get(piexif.ExifIFD.FocalLength)),
        focal_35mm=_positive(details.get(piexif.ExifIFD.FocalLengthIn35mmFilm)),
        camera=_lens(words, width_px, height_px),
    )


def write_tags(path: str | Path, tags: PhotoTags, out: str | Path | None = None) -> Path:
    """Writes what `tags` says into a photograph; what it does not say stays as it was.

    Compressed pixels are copied byte for byte. Formats other than JPEG get an `.xmp` beside them.

    Args:
        path: the photograph.
        tags: what to write.
        out: where to write; None replaces the file (as a whole, at the end).

    Returns:
        The file written.

    Raises:
        InputError: if the file is no readable photograph.
    """
    file = Path(path)
    try:
        data = file.read_bytes()
    except OSError as error:
        raise InputError(path, f"cannot be read ({error.strerror})") from error
    if not data:
        raise InputError(path, "is empty")
    target = Path(out) if out is not None else file
    if not data.startswith(b"\xff\xd8"):
        beside = target.with_suffix(".xmp")
        with atomic_path(beside) as partial:
            partial.write_text(_packet("", tags, with_position=True), encoding="utf-8")
        return beside
    try:
        tagged = tag_jpeg(data, tags)
    except (ValueError, struct.error) as error:
        raise InputError(path, f"is no whole JPEG ({error})") from error
    with atomic_path(target) as partial:
        partial.write_bytes(tagged)
    return target


def tag_jpeg(data: bytes, tags: PhotoTags) -> bytes:
    """A JPEG with its EXIF and XMP renewed and everything else unchanged.

    Raises:
        ValueError: if the data is no JPEG.
    """
    try:
        exif = piexif.load(data) if _EXIF_MARK in data[:_HEAD_BYTES] else {}
    except (ValueError, struct.error, piexif.InvalidImageDataError):
        exif = {}
    for block in ("0th", "Exif", "GPS", "1st", "Interop"):
        exif.setdefault(block, {})
    exif.setdefault("thumbnail", None)
    _fill_exif(exif, tags)
    packet = _packet(_xmp_of(data[:_HEAD_BYTES]), tags)
    kept = bytearray()
    jfif = b""
    position = 2
    for marker, start, end in _segments(data):
        body = data[start + 4 : end]
        if marker == 0xE1 and (body.startswith((_EXIF_MARK, _XMP_MARK))):
            pass
        elif marker == 0xE0 and not jfif and not kept:
            jfif = data[start:end]
        else:
            kept += data[start:end]
        position = end
    exif_body = piexif.dump(exif)
    xmp_body = _XMP_MARK + packet.encode("utf-8")
    for body in (exif_body, xmp_body):
        if len(body) > 65533:
            raise ValueError("its metadata are too large for a JPEG segment")
    ours = b"".join(
        b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body for body in (exif_body, xmp_body)
    )
    return data[:2] + jfif + ours + bytes(kept) + data[position:]


def _segments(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Marker, start and end of each segment before the picture's data."""
    if data[:2] != b"\xff\xd8":
        raise ValueError("it does not start as one")
    position = 2
    while position + 4 <= len(data):
        if data[position] != 0xFF:
            raise ValueError(f"a marker is missing at byte {position}")
        marker = data[position + 1]
        if marker == 0xFF:  # padding
            position += 1
            continue
        if marker == 0xDA:
            return
        end = position + 2 + int.from_bytes(data[position + 2 : position + 4], "big")
        if end > len(data):
            break
        yield marker, position, end
        position = end
    raise ValueError("it ends before its picture")


def _load_exif(file: Path, head: bytes) -> dict[str, Any]:
    try:
        if head.startswith(b"\xff\xd8"):
            return dict(piexif.load(head)) if _EXIF_MARK in head else {}
        if head[:4] in (b"II*\x00", b"MM\x00*"):
            return dict(piexif.load(str(file)))
    except (ValueError, KeyError, TypeError, struct.error, piexif.InvalidImageDataError):
        return {}
    return {}


def _xmp_of(head: bytes) -> str:
    start = head.find(_XMP_MARK)
    if start >= 4 and head[start - 4 : start - 2] == b"\xff\xe1":
        length = int.from_bytes(head[start - 2 : start], "big")
        return head[start + len(_XMP_MARK) : start - 2 + length].decode("utf-8", "replace")
    start = head.find(b"<x:xmpmeta")
    end = head.find(b"</x:xmpmeta>", start)
    return head[start : end + 12].decode("utf-8", "replace") if 0 <= start < end else ""


def _dji_words(packet: str) -> dict[str, str]:
    # Read by pattern: DJI's own packets are not always well-formed XML.
    words = dict(re.findall(r'drone-dji:(\w+)\s*=\s*"([^"]*)"', packet))
    words.update(re.findall(r"<drone-dji:(\w+)>([^<]*)</drone-dji:", packet))
    return words


def _number(words: dict[str, str], name: str) -> float | None:
    try:
        value = float(words[name])
    except (KeyError, ValueError):
        return None
    return value if math.isfinite(value) else None


def _rational(value: Any) -> float | None:
    if isinstance(value, tuple) and len(value) == 2 and value[1]:
        return float(value[0]) / float(value[1])
    return None


def _positive(value: Any) -> float | None:
    return float(value) if isinstance(value, int) and value > 0 else None


def _degrees(gps: dict[int, Any], tag: int, reference: int, negative: bytes) -> float | None:
    value = gps.get(tag)
    if not (isinstance(value, tuple) and len(value) == 3):
        return None
    parts = [_rational(part) for part in value]
    if any(part is None for part in parts):
        return None
    degrees, minutes, seconds = (part or 0.0 for part in parts)
    total = degrees + minutes / 60 + seconds / 3600
    return -total if gps.get(reference) == negative else total


def _text(value: Any) -> str:
    return value.decode("utf-8", "replace").strip("\x00 ") if isinstance(value, bytes) else ""


def _taken_at(exif: dict[str, Any]) -> dt.datetime | None:
    details = exif.get("Exif", {})
    text = _text(details.get(piexif.ExifIFD.DateTimeOriginal))
    try:
        taken_at = dt.datetime.strptime(text, "%Y:%m:%d %H:%M:%S")
    except ValueError:
        return None
    fraction = _text(details.get(piexif.ExifIFD.SubSecTimeOriginal))
    if fraction.isdigit():
        taken_at += dt.timedelta(seconds=float("0." + fraction))
    zone = re.fullmatch(
        r"([+-])(\d\d):(\d\d)", _text(details.get(piexif.ExifIFD.OffsetTimeOriginal))
    )
    if zone:
        offset = dt.timedelta(hours=int(zone[2]), minutes=int(zone[3]))
        taken_at = taken_at.replace(tzinfo=dt.timezone(-offset if zone[1] == "-" else offset))
    return taken_at


def _lens(words: dict[str, str], width_px: int, height_px: int) -> Camera | None:
    """`DewarpData` is date;fx,fy,cx,cy,k1,k2,p1,p2,k3 with the centre counted from the middle."""
    if width_px < 1 or height_px < 1 or "DewarpData" not in words:
        return None
    try:
        numbers = [float(part) for part in words["DewarpData"].split(";")[-1].split(",")]
        fx, fy, cx, cy, k1, k2, p1, p2, k3 = numbers
        if words.get("DewarpFlag", "0").strip() == "1":  # straightened in the camera already
            k1 = k2 = p1 = p2 = k3 = 0.0
        cx_px, cy_px = (width_px - 1) / 2 + cx, (height_px - 1) / 2 + cy
        return Camera(width_px, height_px, fx, fy, cx_px, cy_px, k1, k2, p1, p2, k3)
    except ValueError:
        return None


def _fill_exif(exif: dict[str, Any], tags: PhotoTags) -> None:
    main, details, gps = exif["0th"], exif["Exif"], exif["GPS"]
    if tags.make:
        main[piexif.ImageIFD.Make] = tags.make.encode()
    if tags.model:
        main[piexif.ImageIFD.Model] = tags.model.encode()
    if tags.taken_at is not None:
        stamp = tags.taken_at.strftime("%Y:%m:%d %H:%M:%S").encode()
        main[piexif.ImageIFD.DateTime] = details[piexif.ExifIFD.DateTimeOriginal] = stamp
        details[piexif.ExifIFD.SubSecTimeOriginal] = f"{tags.taken_at.microsecond:06d}".encode()
        if tags.taken_at.tzinfo is not None:
            zone = tags.taken_at.strftime("%z")
            details[piexif.ExifIFD.OffsetTimeOriginal] = f"{zone[:3]}:{zone[3:5]}".encode()
            utc = tags.taken_at.astimezone(dt.UTC)
            gps[piexif.GPSIFD.GPSDateStamp] = utc.strftime("%Y:%m:%d").encode()
            gps[piexif.GPSIFD.GPSTimeStamp] = (
                (utc.hour, 1),
                (utc.minute, 1),
                (round((utc.second + utc.microsecond / 1e6) * 1000), 1000),
            )
    if tags.focal_mm is not None:
        details[piexif.ExifIFD.FocalLength] = _as_rational(tags.focal_mm)
    if tags.focal_35mm is not None:
        details[piexif.ExifIFD.FocalLengthIn35mmFilm] = round(tags.focal_35mm)
    if tags.lon_deg is not None and tags.lat_deg is not None:
        gps[piexif.GPSIFD.GPSVersionID] = (2, 3, 0, 0)
        gps[piexif.GPSIFD.GPSMapDatum] = b"WGS-84"
        gps[piexif.GPSIFD.GPSLatitudeRef] = b"S" if tags.lat_deg < 0 else b"N"
        gps[piexif.GPSIFD.GPSLatitude] = _as_angle(tags.lat_deg)
        gps[piexif.GPSIFD.GPSLongitudeRef] = b"W" if tags.lon_deg < 0 else b"E"
        gps[piexif.GPSIFD.GPSLongitude] = _as_angle(tags.lon_deg)
    if tags.altitude_m is not None:
        gps[piexif.GPSIFD.GPSAltitudeRef] = 1 if tags.altitude_m < 0 else 0
        gps[piexif.GPSIFD.GPSAltitude] = (round(abs(tags.altitude_m) * 1000), 1000)
    if tags.sigma_horizontal_m is not None:
        gps[piexif.GPSIFD.GPSHPositioningError] = _as_rational(tags.sigma_horizontal_m)
    if tags.yaw_deg is not None:
        gps[piexif.GPSIFD.GPSImgDirectionRef] = b"T"
        gps[piexif.GPSIFD.GPSImgDirection] = (round(tags.yaw_deg % 360.0 * 100), 100)


def _as_rational(value: float) -> tuple[int, int]:
    fraction = Fraction(value).limit_denominator(10000)
    return fraction.numerator, fraction.denominator


def _as_angle(degrees: float) -> tuple[tuple[int, int], tuple[int, int], tuple[int, int]]:
    # Seconds to 1e-5: a third of a millimetre.
    units = round(abs(degrees) * 3600 * 100_000)
    minutes, seconds = divmod(units, 60 * 100_000)
    return (minutes // 60, 1), (minutes % 60, 1), (seconds, 100_000)


def _packet(existing: str, tags: PhotoTags, with_position: bool = False) -> str:
    """An XMP packet; an existing one keeps what is not renewed."""
    words: dict[str, str] = {}
    if tags.lat_deg is not None and tags.lon_deg is not None:
        words["GpsLatitude"] = f"{tags.lat_deg:.9f}"
        words["GpsLongitude"] = f"{tags.lon_deg:.9f}"
    signed = {
        "AbsoluteAltitude": tags.altitude_m,
        "RelativeAltitude": tags.height_m,
        "GimbalYawDegree": None if tags.yaw_deg is None else _half_turn(tags.yaw_deg),
        "GimbalPitchDegree": tags.pitch_deg,
        "GimbalRollDegree": tags.roll_deg,
        "FlightYawDegree": None if tags.flight_yaw_deg is None else _half_turn(tags.flight_yaw_deg),
        "FlightPitchDegree": tags.flight_pitch_deg,
        "FlightRollDegree": tags.flight_roll_deg,
    }
    words.update({name: f"{value:+.3f}" for name, value in signed.items() if value is not None})
    if tags.rtk is not None:
        words["RtkFlag"] = "50" if tags.rtk else "0"
    if tags.sigma_horizontal_m is not None:
        each_m = tags.sigma_horizontal_m / math.sqrt(2)
        words["RtkStdLon"] = words["RtkStdLat"] = f"{each_m:.4f}"
    if tags.sigma_vertical_m is not None:
        words["RtkStdHgt"] = f"{tags.sigma_vertical_m:.4f}"
    if tags.camera is not None:
        words.update(_lens_words(tags.camera))
    written = " ".join(f'drone-dji:{name}="{value}"' for name, value in words.items())
    if "<rdf:Description" in existing:
        for name in words:
            existing = re.sub(rf'\s*drone-dji:{name}\s*=\s*"[^"]*"', "", existing)
            existing = re.sub(rf"\s*<drone-dji:{name}>[^<]*</drone-dji:{name}>", "", existing)
        space = "" if "xmlns:drone-dji" in existing else f'xmlns:drone-dji="{_DJI}" '
        return existing.replace("<rdf:Description", f"<rdf:Description {space}{written}", 1)
    if with_position and tags.lat_deg is not None and tags.lon_deg is not None:
        written += " " + _exif_in_xmp(tags.lon_deg, tags.lat_deg, tags.altitude_m)
    return (
        '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>\n'
        '<x:xmpmeta xmlns:x="adobe:ns:meta/">\n'
        ' <rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">\n'
        '  <rdf:Description rdf:about="" xmlns:exif="http://ns.adobe.com/exif/1.0/" '
        f'xmlns:drone-dji="{_DJI}" {written}/>\n'
        ' </rdf:RDF>\n</x:xmpmeta>\n<?xpacket end="w"?>'
    )


def _exif_in_xmp(lon_deg: float, lat_deg: float, altitude_m: float | None) -> str:
    def angle(value: float, letters: str) -> str:
        whole, part = divmod(abs(value), 1.0)
        return f"{int(whole)},{part * 60:.8f}{letters[value < 0]}"

    text = f'exif:GPSLatitude="{angle(lat_deg, "NS")}" exif:GPSLongitude="{angle(lon_deg, "EW")}"'
    if altitude_m is not None:
        text += (
            f' exif:GPSAltitudeRef="{int(altitude_m < 0)}"'
            f' exif:GPSAltitude="{round(abs(altitude_m) * 1000)}/1000"'
        )
    return text


def _lens_words(camera: Camera) -> dict[str, str]:
    cx_px, cy_px = camera.centre_px
    centre = (cx_px - (camera.width_px - 1) / 2, cy_px - (camera.height_px - 1) / 2)
    numbers = (camera.focal_x_px, camera.fy_px, *centre, *camera.distortion)
    return {
        "CalibratedFocalLength": f"{camera.focal_x_px:.6f}",
        "CalibratedOpticalCenterX": f"{cx_px + 0.5:.6f}",
        "CalibratedOpticalCenterY": f"{cy_px + 0.5:.6f}",
        "DewarpFlag": "0",
        "DewarpData": "2020-01-01;" + ",".join(f"{number:.9g}" for number in numbers),
    }


def _half_turn(degrees: float) -> float:
    return (degrees + 180.0) % 360.0 - 180.0
