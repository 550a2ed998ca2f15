"""Ardour 7: a session with a MIDI track for each part, its takes as playlists, tempo map, markers and ranges.

A session is a folder with an XML file of its name and the MIDI files beside it. Musical times in it are 1920ths of a
quarter ("b"), others superclocks ("a"), of which a second has 282,240,000. Ardour keeps a tempo as whole superclocks
per quarter, so bar lines may be off by a fraction of a sample in a piece of hours. Tried with Ardour 7.3.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from math import ceil
from pathlib import Path
from typing import Final
from xml.etree.ElementTree import Element, ParseError, SubElement, fromstring, indent, tostring

from cmt_bridge.errors import InputError
from cmt_bridge.outputs.midibytes import END_OF_TRACK, TRACK_NAME, chunk_of, file_of, meta_event
from cmt_bridge.projects.arrangement import Arrangement, Colour, Part, Version
from cmt_bridge.projects.frames import frames_of

__all__ = ["added", "write_session"]

TICKS: Final = 1920
SUPERCLOCKS: Final = 282_240_000
MICROSECONDS: Final = 1_000_000
RATE: Final = 48_000
FORMAT: Final = "7002"
TIMECODES: Final = {
    (Fraction(24000, 1001), 0): "timecode_23976",
    (Fraction(24), 0): "timecode_24",
    (Fraction(25), 0): "timecode_25",
    (Fraction(30000, 1001), 2): "timecode_2997drop",
    (Fraction(30), 0): "timecode_30",
    (Fraction(60000, 1001), 4): "timecode_5994",
    (Fraction(60), 0): "timecode_60",
}


def write_session(arrangement: Arrangement, folder: Path, *, name: str, rate: int = RATE) -> None:
    """Write a session into an empty folder, which may be moved and renamed; `rate` is its sample rate.

    Raises `OSError` where it cannot be written.
    """
    safe = (
        "".join(letter if letter.isprintable() and letter not in '/\\:;"' else "_" for letter in name).strip()
        or "music"
    )
    midi = folder / "interchange" / safe / "midifiles"
    midi.mkdir(parents=True)
    for each in ("analysis", "dead", "export", "externals", "peaks", "plugins"):
        (folder / each).mkdir()
    session = _Session(arrangement, safe, rate)
    for file, content in session.files():
        (midi / file).write_bytes(content)
    (folder / f"{safe}.ardour").write_bytes(session.text())


def added(
    session: str, arrangement: Arrangement, *, at: Fraction, taken: Collection[str]
) -> tuple[str, dict[str, bytes]]:
    """Give the XML of a session with our tracks, regions and markers added, and the MIDI files that it names besides.

    The film begins at `at` seconds. Notes are put where their times fall in the session's own tempo map, to a tick of
    Ardour's; every line of the XML stays but the counter of ids. `taken` are the names of MIDI files that are there.
    Raises `InputError` where the text is no session of Ardour 7, or one whose tempo glides.
    """
    try:
        root = fromstring(session)
    except ParseError as error:
        raise InputError(
            f"This is no Ardour session: {error}.", hint="Give a .ardour file that Ardour saved."
        ) from error
    counter = re.search(r'(<Session\b[^>]*\bid-counter=")(\d+)(")', session)
    tempo_map = root.find("TempoMap")
    if root.tag != "Session" or counter is None or tempo_map is None or not root.get("version", "").startswith("700"):
        raise InputError("This is no session of Ardour 7.", hint="Open it in Ardour 7 and save it, then try again.")
    theirs = _Theirs(tempo_map)
    place = round(theirs.ticks(at))
    retimed = replace(
        arrangement, versions=tuple(_retimed(arrangement, each, theirs, at) for each in arrangement.versions)
    )
    names = {each.get("name", "") for tag in ("Route", "Playlist") for each in root.iter(tag)} | set(taken)
    made = _Session(
        retimed, "", int(root.get("sample-rate", RATE)), first=int(counter[2]) + 1, at=at, place=place, taken=names
    )
    pieces, following = made.pieces()
    text = session[: counter.start()] + f"{counter[1]}{following}{counter[3]}" + session[counter.end() :]
    for tag, lines in pieces.items():
        text = _inserted(text, tag, lines)
    return text, dict(made.files())


def _inserted(text: str, tag: str, lines: str) -> str:
    """Put lines at the end of an element of the session itself, which may be empty."""
    found = re.search(rf"^  <{tag}/>$|^  </{tag}>$", text, re.MULTILINE)
    if found is None:
        raise InputError(f"The session has no {tag}.", hint="Open it in Ardour 7 and save it, then try again.")
    opened = f"  <{tag}>\n" if found[0].endswith("/>") else ""
    return f"{text[: found.start()]}{opened}{lines}  </{tag}>{text[found.end() :]}"


class _Theirs:
    """The tempo map of a session that is there: ticks of its seconds."""

    def __init__(self, tempo_map: Element) -> None:
        self._starts: list[int] = []
        self._points: list[tuple[int, Fraction]] = []
        for tempo in tempo_map.iter("Tempo"):
            if tempo.get("type") != "Tempo::Constant":
                raise InputError(
                    "The session's tempo glides, and where our notes would be then is not known here.",
                    hint="Give it tempos that hold, or export a session of its own.",
                )
            quarters, _, rest = tempo.get("quarters", "0:0").partition(":")
            per_quarter = Fraction(SUPERCLOCKS * 60 * int(tempo.get("note-type", "4")), 4) / Fraction(
                tempo.get("npm", "120")
            )
            self._starts.append(int(tempo.get("sclock", "0")))
            self._points.append((int(quarters) * TICKS + int(rest or 0), Fraction(round(per_quarter))))
        if not self._starts:
            raise InputError("The session has no tempo.", hint="Open it in Ardour 7 and save it, then try again.")

    def ticks(self, seconds: Fraction) -> Fraction:
        """Give the ticks at a time."""
        clock = seconds * SUPERCLOCKS
        index = max(0, bisect_right(self._starts, clock) - 1)
        tick, per_quarter = self._points[index]
        return tick + (clock - self._starts[index]) * TICKS / per_quarter


def _retimed(arrangement: Arrangement, version: Version, theirs: _Theirs, at: Fraction) -> Version:
    """Give a version in Ardour's ticks of another tempo map, counted from where the film begins."""
    zero = round(theirs.ticks(at))

    def moved(tick: int) -> int:
        return round(theirs.ticks(at + arrangement.seconds(tick))) - zero

    parts = tuple(replace(part, events=tuple((moved(tick), m) for tick, m in part.events)) for part in version.parts)
    return replace(version, division=TICKS, length=moved(version.length), parts=parts)


@dataclass(frozen=True, slots=True)
class _Region:
    """A part of a take: its file in the session, and the ids of its source, the whole of it, the piece on a track."""

    part: Part
    version: Version
    file: str
    source: str
    whole: str
    piece: str

    @property
    def name(self) -> str:
        return self.file.removesuffix(".mid")


class _Session:
    """The session's XML, and the files it names.

    Ids count from `first`, the film begins at `at` seconds, the music at the tick `place`, and names of tracks and
    files are others than those `taken`.
    """

    def __init__(
        self,
        arrangement: Arrangement,
        name: str,
        rate: int,
        *,
        first: int = 1,
        at: Fraction = Fraction(0),
        place: int = 0,
        taken: Collection[str] = (),
    ) -> None:
        self._arrangement = arrangement
        self._name = name
        self._rate = rate
        self._id = first - 1
        self._at, self._place = at, place
        self._taken = set(taken)
        self._regions = {
            part.name: [self._region(part, each, number) for number, each in arrangement.others(part) if each]
            for part in arrangement.version.parts
        }

    def files(self) -> Iterator[tuple[str, bytes]]:
        """Give the MIDI files by name: a track of one part of one take each."""
        for region in self._all():
            name = meta_event(TRACK_NAME, region.part.name.encode())
            last = max(region.version.length, *(tick for tick, _ in region.part.events), 1)
            events = [(0, name), *region.part.events, (last, meta_event(END_OF_TRACK))]
            yield region.file, file_of(0, region.version.division, [chunk_of(events)])

    def text(self) -> bytes:
        """Give the XML."""
        root = Element("Session", version=FORMAT, name=self._name)
        root.set("sample-rate", str(self._rate))
        root.set("session-range-is-free", "0")
        made = "cmt-bridge"
        SubElement(root, "ProgramVersion", {"created-with": made, "modified-with": made})
        self._config(root)
        self._music(root, master=True)
        self._tempo(root)
        root.set("id-counter", str(self._id + 1))
        indent(root)
        return bytes(tostring(root, encoding="UTF-8", xml_declaration=True))

    def pieces(self) -> tuple[dict[str, str], int]:
        """Give what belongs into another session, by the element it goes into, and the next free id."""
        root = Element("Session")
        self._music(root, master=False)
        indent(root)
        found = {}
        for group in root:
            found[group.tag] = "".join(f"    {tostring(each, encoding='unicode').strip()}\n" for each in group)
        return found, self._id + 1

    def _music(self, root: Element, *, master: bool) -> None:
        self._sources(root)
        self._whole(root)
        self._locations(root, whole=master)
        titles = {name: self._free(_text(name)) for name in self._regions}
        tracks = {name: self._next() for name in self._regions}
        lists = {name: [(region, self._next()) for region in regions] for name, regions in self._regions.items()}
        routes = SubElement(root, "Routes")
        if master:
            self._master(routes)
        heard = self._arrangement.version
        for order, (name, regions) in enumerate(lists.items(), len(self._taken) if not master else 1):
            playlist = next(key for region, key in regions if region.version is heard)
            self._track(routes, name, titles[name], tracks[name], playlist, order)
        used, unused = SubElement(root, "Playlists"), SubElement(root, "UnusedPlaylists")
        for name, regions in lists.items():
            for region, key in regions:
                current = region.version is heard
                title = titles[name] if current else f"{titles[name]} {_text(region.version.name)}"
                self._playlist(used if current else unused, region, key, title, tracks[name])
        if master:
            SubElement(root, "RouteGroups")

    def _next(self) -> str:
        self._id += 1
        return str(self._id)

    def _region(self, part: Part, same: Part, number: int) -> _Region:
        version = self._arrangement.versions[number]
        file = self._free(f"{_file(part.name)} {_file(version.name)}", ".mid")
        return _Region(same, version, file, self._next(), self._next(), self._next())

    def _free(self, name: str, suffix: str = "") -> str:
        """Give a name that nothing has."""
        count, found = 1, f"{name}{suffix}"
        while found in self._taken:
            count += 1
            found = f"{name} {count}{suffix}"
        self._taken.add(found)
        return found

    def _all(self) -> Iterator[_Region]:
        for regions in self._regions.values():
            yield from regions

    def _config(self, root: Element) -> None:
        config = SubElement(root, "Config")
        frames = frames_of(self._arrangement.frame_rate)
        options = {
            "timecode-format": TIMECODES.get((frames.rate, frames.drop), "timecode_30") if frames else "timecode_30",
            "timecode-offset": str(self._arrangement.start * self._rate),
            "timecode-offset-negative": "0",
            "native-file-data-format": "FormatFloat",  # without which Ardour does not find the sample rate either
            "glue-new-markers-to-bars-and-beats": "0",
        }
        for name, value in options.items():
            SubElement(config, "Option", name=name, value=value)
        metadata = SubElement(root, "Metadata")
        SubElement(metadata, "title").text = _text(self._arrangement.title)
        SubElement(metadata, "description").text = "Music for a film, by cmt-bridge: bar 1 begins with the picture."

    def _sources(self, root: Element) -> None:
        sources = SubElement(root, "Sources")
        for region in self._all():
            said = {"name": region.file, "type": "midi", "flags": "Writable,CanRename", "id": region.source}
            SubElement(sources, "Source", said, origin="")

    def _whole(self, root: Element) -> None:
        """Give the regions of whole files, which Ardour lists beside the tracks."""
        regions = SubElement(root, "Regions")
        for region in self._all():
            self._piece(regions, region, region.whole, whole=True)

    def _piece(self, parent: Element, region: _Region, key: str, *, whole: bool) -> None:
        length = max(1, _ticks(region.version, max(1, region.version.length)))
        said = {
            "name": _text(region.name),
            "muted": "0",
            "opaque": "1",
            "locked": "0",
            "automatic": "0",
            "whole-file": str(int(whole)),
            "import": "0",
            "external": "0",
            "hidden": "0",
            "position-locked": "0",
            "valid-transients": "0",
            "start": "b0",
            "length": f"b{length}@b{self._place}",
            "sync-position": "b0",
            "ancestral-start": "b0",
            "ancestral-length": f"b{length}@b{self._place}",
            "stretch": "1",
            "shift": "1",
            "layering-index": "0",
            "first-edit": "nothing",
            "layer": "0",
            "id": key,
            "type": "midi",
            "source-0": region.source,
            "master-source-0": region.source,
        }
        SubElement(parent, "Region", said)

    def _locations(self, root: Element, *, whole: bool) -> None:
        arrangement = self._arrangement
        locations = SubElement(root, "Locations")
        end = max(Fraction(arrangement.duration), arrangement.seconds(arrangement.end))
        spans = [("session", Fraction(0), end, "IsSessionRange")] if whole else []
        spans += [(mark.text, Fraction(mark.seconds), Fraction(mark.seconds), "IsMark") for mark in arrangement.markers]
        spans += [(s.name, Fraction(s.start), Fraction(s.end), "IsRangeMarker") for s in arrangement.sections]
        for name, start, stop, flags in spans:
            said = {
                "id": self._next(),
                "name": _text(name),
                "start": _superclock(self._at + start),
                "end": _superclock(self._at + stop),
                "flags": flags,
                "locked": "0",
                "timestamp": "0",
            }
            SubElement(locations, "Location", said)

    def _master(self, routes: Element) -> None:
        route = self._route(routes, "Master", self._next(), "audio", 0, "MasterOut", (128, 128, 128))
        for direction in ("Input", "Output"):
            io = SubElement(route, "IO", {"name": "Master", "id": self._next(), "direction": direction})
            io.set("default-type", "audio")
            for number in (1, 2):
                port = f"Master/audio_{'in' if direction == 'Input' else 'out'} {number}"
                SubElement(io, "Port", type="audio", name=port)
        for kind in ("amp", "meter", "main-outs"):
            self._processor(route, "Master", kind)

    def _track(self, routes: Element, name: str, title: str, key: str, playlist: str, order: int) -> None:
        colour = next(part.colour for part in self._arrangement.version.parts if part.name == name)
        route = self._route(routes, title, key, "midi", order, "MidiTrack", colour)
        for attribute, value in {
            "midi-playlist": playlist,
            "playback-channel-mode": "AllChannels",
            "capture-channel-mode": "AllChannels",
            "playback-channel-mask": "0xffff",
            "capture-channel-mask": "0xffff",
            "note-mode": "Sustained",
            "step-editing": "0",
            "input-active": "1",
            "restore-pgm": "1",
        }.items():
            route.set(attribute, value)
        for direction, port in (("Input", "midi_in 1"), ("Output", "midi_out 1")):
            io = SubElement(route, "IO", {"name": title, "id": self._next(), "direction": direction})
            io.set("default-type", "midi")
            SubElement(io, "Port", type="midi", name=f"{title}/{port}")
        for kind in ("diskwriter", "diskreader", "amp", "meter", "main-outs"):
            self._processor(route, title, kind)

    def _route(self, routes: Element, name: str, key: str, kind: str, order: int, flag: str, colour: Colour) -> Element:
        red, green, blue = colour
        said = {
            "version": FORMAT,
            "id": key,
            "name": name,
            "default-type": kind,
            "strict-io": "1",
            "active": "1",
            "denormal-protection": "0",
            "meter-point": "MeterPostFader",
            "disk-io-point": "DiskIOPreFader",
            "meter-type": "MeterPeak",
        }
        route = SubElement(routes, "Route", said)
        shade = str(red << 24 | green << 16 | blue << 8 | 0xFF)
        SubElement(route, "PresentationInfo", order=str(order), flags=f"{flag},OrderSet", color=shade)
        return route

    def _processor(self, route: Element, name: str, kind: str) -> None:
        names = {
            "diskwriter": f"recorder:{name}",
            "diskreader": f"player:{name}",
            "amp": "Amp",
            "meter": f"meter-{name}",
        }
        said = {"id": self._next(), "name": names.get(kind, name), "active": "1", "type": kind}
        if kind == "main-outs":
            said |= {"own-input": "1", "own-output": "0", "output": name, "role": "Main"}
        SubElement(route, "Processor", said)

    def _playlist(self, parent: Element, region: _Region, key: str, title: str, track: str) -> None:
        said = {"id": key, "name": title, "type": "midi", "orig-track-id": track, "pgroup-id": ""}
        said |= {"shared-with-ids": "", "frozen": "0", "combine-ops": "0"}
        self._piece(SubElement(parent, "Playlist", said), region, region.piece, whole=False)

    def _tempo(self, root: Element) -> None:
        version = self._arrangement.version
        tempo_map = SubElement(root, "TempoMap", {"superclocks-per-second": str(SUPERCLOCKS)})
        tempos, meters = SubElement(tempo_map, "Tempos"), SubElement(tempo_map, "Meters")
        clock = _Clock(version)
        for tick, uspq in version.tempos:
            bpm = f"{60 * MICROSECONDS / uspq:.12f}".rstrip("0").rstrip(".")
            said = {"npm": bpm, "enpm": bpm, "note-type": "4", "type": "Tempo::Constant", "active": "1"}
            said |= {"locked-to-meter": "0", "continuing": "0", **clock.at(tick), "omega": "0"}
            SubElement(tempos, "Tempo", said)
        for tick, numerator, denominator in version.metres:
            said = {"note-value": str(denominator), "divisions-per-bar": str(numerator), **clock.at(tick)}
            SubElement(meters, "Meter", said)


class _Clock:
    """Reckon as Ardour does: in whole superclocks per quarter, and in bars of the metres."""

    def __init__(self, version: Version) -> None:
        self._version = version

    def at(self, tick: int) -> dict[str, str]:
        """Give a place as the tempo map states it: superclocks, quarters and ticks, bar, beat and ticks."""
        ticks = _ticks(self._version, tick)
        quarters, rest = divmod(ticks, TICKS)
        bar, beat, left = self._bar(ticks)
        return {
            "sclock": str(self._superclocks(ticks)),
            "quarters": f"{quarters}:{rest}",
            "bbt": f"{bar}|{beat}|{left}",
        }

    def _superclocks(self, ticks: int) -> int:
        passed, last, per_quarter = 0, 0, 0
        for tick, uspq in self._version.tempos:
            start = _ticks(self._version, tick)
            if start > ticks:
                break
            passed += round(Fraction((start - last) * per_quarter, TICKS))
            last, per_quarter = start, round(Fraction(SUPERCLOCKS * uspq, MICROSECONDS))
        return passed + round(Fraction((ticks - last) * per_quarter, TICKS))

    def _bar(self, ticks: int) -> tuple[int, int, int]:
        bars, begin, per_beat, per_bar = 0, 0, TICKS, 4 * TICKS
        for tick, numerator, denominator in self._version.metres:
            start = _ticks(self._version, tick)
            if start > ticks:
                break
            bars += ceil(Fraction(start - begin, per_bar))
            begin, per_beat = start, 4 * TICKS // denominator
            per_bar = per_beat * numerator
        whole, rest = divmod(ticks - begin, per_bar)
        return bars + whole + 1, rest // per_beat + 1, rest % per_beat


def _ticks(version: Version, tick: int) -> int:
    return round(Fraction(tick * TICKS, version.division))


def _superclock(seconds: Fraction) -> str:
    return f"a{round(seconds * SUPERCLOCKS)}"


def _file(name: str) -> str:
    """Give a text as a part of a file's name."""
    kept = "".join(letter if letter.isprintable() and letter not in '/\\:*?"<>|' else "_" for letter in name)
    return kept.strip(" .")[:60] or "_"


def _text(text: str) -> str:
    """Give a text without what XML cannot say."""
    return "".join(letter if letter.isprintable() else " " for letter in text)
