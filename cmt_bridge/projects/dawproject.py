"""DAWproject 1.0, which Bitwig Studio, Studio One and Cubase open: a zip of `project.xml` and `metadata.xml`.

Times are quarters, as decimal numbers: a tick of 1/480 quarter is exact to 12 digits. Only the take that is heard is in
it, since the format knows no takes of a clip. https://github.com/bitwig/dawproject has the schema.
"""

from __future__ import annotations

import io
import re
import zipfile
from collections import defaultdict
from fractions import Fraction
from typing import Final
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from cmt_bridge.midi.events import NOTE_OFF, PROGRAM_CHANGE
from cmt_bridge.projects.arrangement import Arrangement, Colour, Part

__all__ = ["dawproject_bytes"]

MICROSECONDS_PER_MINUTE = 60_000_000
LONG_AGO: Final = (1980, 1, 1, 0, 0, 0)  # the earliest that a zip can state
FILM_COLOUR: Final[Colour] = (96, 96, 96)
MARK_COLOURS: Final[dict[str, Colour]] = {"cut": (200, 60, 60), "beat": (220, 170, 40), "section": (70, 130, 160)}
POLY_PRESSURE, CONTROLLER, PRESSURE, BEND = 0xA0, 0xB0, 0xD0, 0xE0
MOST, MOST_BEND = 127, 16383
UNSENSED: Final = "0.5"  # of a release whose velocity is not known: 0, or a note-on of none
UNSAYABLE: Final = re.compile("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""All that XML 1.0 has no character for."""
Target = tuple[str, int, int | None]
"""An expression, its channel, and the number of a controller or a key."""


def dawproject_bytes(arrangement: Arrangement, film: str | None) -> bytes:
    """Return a complete project; `film` is the path of the video from where the project lies, with `/`."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, root in (("project.xml", _project(arrangement, film)), ("metadata.xml", _metadata(arrangement))):
            indent(root)
            info = zipfile.ZipInfo(name, LONG_AGO)
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, tostring(root, encoding="UTF-8", xml_declaration=True))
    return buffer.getvalue()


def _metadata(arrangement: Arrangement) -> Element:
    root = Element("MetaData")
    SubElement(root, "Title").text = _text(arrangement.title)
    SubElement(root, "Comment").text = "Music for a film, by cmt-bridge: bar 1 begins with the picture."
    return root


def _project(arrangement: Arrangement, film: str | None) -> Element:
    version = arrangement.version
    root = Element("Project", version="1.0")
    SubElement(root, "Application", name="cmt-bridge", version="1.0")
    transport = SubElement(root, "Transport")
    SubElement(transport, "Tempo", id="tempo", unit="bpm", value=_bpm(version.tempos[0][1]), min="3.5", max="1000")
    _, numerator, denominator = version.metres[0]
    SubElement(transport, "TimeSignature", id="metre", numerator=str(numerator), denominator=str(denominator))
    structure = SubElement(root, "Structure")
    tracks = SubElement(root, "Arrangement", id="arrangement")
    lanes = SubElement(tracks, "Lanes", id="lanes", timeUnit="beats")
    if film is not None and arrangement.film is not None:
        _track(structure, "film", "Video", FILM_COLOUR, "video audio")
        _film(SubElement(lanes, "Lanes", id="film-lanes", track="film"), arrangement, film)
    for number, part in enumerate(version.parts, 1):
        _track(structure, f"track-{number}", part.name, part.colour, "notes")
        _part(SubElement(lanes, "Lanes", id=f"lanes-{number}", track=f"track-{number}"), arrangement, part, number)
    master = SubElement(structure, "Track", id="master-track", name="Master", contentType="audio notes")
    SubElement(master, "Channel", id="master", role="master", audioChannels="2")
    _markers(tracks, arrangement)
    _automation(tracks, arrangement)
    return root


def _track(structure: Element, key: str, name: str, colour: Colour, content: str) -> None:
    track = SubElement(structure, "Track", id=key, name=_text(name), color=_hex(colour), contentType=content)
    SubElement(track, "Channel", id=f"{key}-channel", role="regular", audioChannels="2", destination="master")


def _film(lanes: Element, arrangement: Arrangement, path: str) -> None:
    assert arrangement.film is not None
    begin = float(arrangement.offset)
    seconds, end = arrangement.film.duration, begin + arrangement.film.duration
    clips = SubElement(lanes, "Clips", id="film-clips")
    clip = SubElement(
        clips,
        "Clip",
        name=_text(path.rpartition("/")[2]),
        time="0",
        duration=_quarters(arrangement, arrangement.ticks(seconds)),
        contentTimeUnit="seconds",
        playStart=f"{begin:.6f}".rstrip("0").rstrip("."),
        playStop=f"{end:.9f}",
    )
    # What sound the film has is not known here, and the schema wants to be told.
    video = SubElement(clip, "Video", duration=f"{end:.9f}", channels="2", sampleRate="48000")
    SubElement(video, "File", path=UNSAYABLE.sub(" ", path), external="true")


def _part(lanes: Element, arrangement: Arrangement, part: Part, number: int) -> None:
    clips = SubElement(lanes, "Clips", id=f"clips-{number}")
    clip = SubElement(
        clips,
        "Clip",
        name=_text(arrangement.version.name),
        color=_hex(part.colour),
        time="0",
        duration=_quarters(arrangement, max(1, arrangement.end)),
        contentTimeUnit="beats",
    )
    curves = _curves(part)
    content = SubElement(clip, "Lanes", id=f"content-{number}") if curves else clip
    notes = SubElement(content, "Notes", id=f"notes-{number}")
    for pair in part.pairs:
        start, struck = part.events[pair.on]
        released = 0 if pair.off is None else _sensed(part.events[pair.off][1])
        SubElement(
            notes,
            "Note",
            time=_quarters(arrangement, start),
            duration=_quarters(arrangement, max(1, pair.end - start)),  # what has no length sounds all the same
            channel=str(struck[0] & 0xF),
            key=str(struck[1]),
            vel=_share(struck[2], MOST),
            rel=_share(released, MOST) if released else UNSENSED,
        )
    for index, ((expression, channel, which), points) in enumerate(sorted(curves.items(), key=str), 1):
        whole = expression == "programChange"
        curve = SubElement(content, "Points", id=f"points-{number}-{index}")
        if not whole:
            curve.set("unit", "normalized")
        target = SubElement(curve, "Target", expression=expression, channel=str(channel))
        if which is not None:
            target.set("key" if expression == "polyPressure" else "controller", str(which))
        for tick, value, most in points:
            if whole:
                SubElement(curve, "IntegerPoint", time=_quarters(arrangement, tick), value=str(value))
            else:
                time, share = _quarters(arrangement, tick), _share(value, most)
                SubElement(curve, "RealPoint", time=time, value=share, interpolation="hold")


def _sensed(end: bytes) -> int:
    """Return the release velocity of a message that ends a note, 0 where it is not known."""
    return end[2] if end[0] & 0xF0 == NOTE_OFF else 0


def _curves(part: Part) -> dict[Target, list[tuple[int, int, int]]]:
    """Return what is no note, by what it moves: ticks, values, and the greatest value there could be."""
    found: defaultdict[Target, list[tuple[int, int, int]]] = defaultdict(list)
    for tick, message in part.events:
        kind, channel, first = message[0] & 0xF0, message[0] & 0xF, message[1] if len(message) > 1 else 0
        if kind == CONTROLLER:
            found["channelController", channel, first].append((tick, message[2], MOST))
        elif kind == PROGRAM_CHANGE:
            found["programChange", channel, None].append((tick, first, MOST))
        elif kind == PRESSURE:
            found["channelPressure", channel, None].append((tick, first, MOST))
        elif kind == POLY_PRESSURE:
            found["polyPressure", channel, first].append((tick, message[2], MOST))
        elif kind == BEND:
            found["pitchBend", channel, None].append((tick, first | message[2] << 7, MOST_BEND))
    return found


def _markers(tracks: Element, arrangement: Arrangement) -> None:
    marks = [(mark.seconds, mark.kind, mark.text) for mark in arrangement.markers]
    marks += [(span.start, "section", span.name) for span in arrangement.sections]
    if not marks:
        return
    markers = SubElement(tracks, "Markers", id="markers", timeUnit="beats")
    for seconds, kind, text in sorted(marks):
        time = _quarters(arrangement, arrangement.ticks(seconds))
        marker = SubElement(markers, "Marker", name=_text(text), time=time)
        if kind in MARK_COLOURS:
            marker.set("color", _hex(MARK_COLOURS[kind]))


def _automation(tracks: Element, arrangement: Arrangement) -> None:
    version = arrangement.version
    tempo = SubElement(tracks, "TempoAutomation", id="tempo-automation", timeUnit="beats", unit="bpm")
    SubElement(tempo, "Target", parameter="tempo")
    for tick, uspq in version.tempos:
        time = _quarters(arrangement, tick)
        SubElement(tempo, "RealPoint", time=time, value=_bpm(uspq), interpolation="hold")
    metre = SubElement(tracks, "TimeSignatureAutomation", id="metre-automation", timeUnit="beats")
    SubElement(metre, "Target", parameter="metre")
    for tick, numerator, denominator in version.metres:
        SubElement(
            metre,
            "TimeSignaturePoint",
            time=_quarters(arrangement, tick),
            numerator=str(numerator),
            denominator=str(denominator),
        )


def _quarters(arrangement: Arrangement, ticks: int | Fraction) -> str:
    return f"{float(Fraction(ticks) / arrangement.division):.12f}".rstrip("0").rstrip(".")


def _bpm(uspq: int) -> str:
    return f"{MICROSECONDS_PER_MINUTE / uspq:.12f}".rstrip("0").rstrip(".")


def _share(value: int, most: int) -> str:
    return f"{value / most:.9f}".rstrip("0").rstrip(".")


def _hex(colour: Colour) -> str:
    return "#{:02x}{:02x}{:02x}".format(*colour)


def _text(text: str) -> str:
    """Return a name on one line, without what XML cannot say."""
    return UNSAYABLE.sub(" ", " ".join(text.splitlines()))
