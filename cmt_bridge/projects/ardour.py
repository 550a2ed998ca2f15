"""Ardour 7: a session with a MIDI track for each part, its takes as playlists, tempo map, markers and ranges.

A session is a folder with an XML file of its name and the MIDI files beside it. Musical times in it are ticks ("b"),
others superclocks ("a"). Ids below 1000 are left to what Ardour makes before it reads a session. Tried with Ardour 7.3.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Final
from xml.etree.ElementTree import Element, ParseError, SubElement, fromstring, indent, tostring

from cmt_bridge.core.files import cut, file_name
from cmt_bridge.errors import InputError
from cmt_bridge.midi.events import (
    END_OF_TRACK,
    TRACK_NAME,
    Event,
    chunk_of,
    file_of,
    meta_event,
    releases,
)
from cmt_bridge.projects.ardourtime import AGAIN, SUPERCLOCKS, TICKS, OurTime, TheirTime, ardour_ticks, timecode_of
from cmt_bridge.projects.arrangement import Arrangement, Colour, Part, Version

__all__ = ["GENERAL_MIDI", "REASONABLE", "Synth", "added", "synth_here", "write_session"]

MICROSECONDS_PER_MINUTE: Final = 60_000_000
RATE: Final = 48_000
FORMAT: Final = "7002"
OLDEST: Final = 7000  # before it, tempo maps had no superclocks
FIRST_ID: Final = 1000
OWN_NAMES: Final = ("Master", "Monitor", "Click", "Auditioner", "Metronome")  # of Ardour's own
LONGEST_SESSION, LONGEST_NAME = 180, 100  # bytes in UTF-8: files of both and of their copies get an ending besides
HIGHEST, OCTAVE = 127, 12  # pitches


@dataclass(frozen=True, slots=True)
class Synth:
    """An LV2 instrument with a stereo output: its name and URI."""

    name: str
    uri: str


GENERAL_MIDI: Final = Synth("General MIDI Synth", "http://gareus.org/oss/lv2/gmsynth")
"""Has all sounds of General MIDI. Ardour's own packages bring it, those of Linux distributions do not."""

REASONABLE: Final = Synth("ACE Reasonable Synth", "https://community.ardour.org/node/7596")
"""A part of every Ardour; it plays everything, drums too, with one plain sound."""

LV2_FOLDERS: Final = (
    "~/.lv2",
    "/usr/lib/lv2",
    "/usr/local/lib/lv2",
    "/usr/lib/*/lv2",
    "/opt/Ardour*/lib/LV2",
    "~/Library/Audio/Plug-Ins/LV2",
    "/Library/Audio/Plug-Ins/LV2",
    "/Applications/Ardour*.app/Contents/lib/LV2",
)


def synth_here(folders: Iterable[Path] | None = None) -> Synth:
    """Return the best instrument that Ardour has on this computer, by its LV2 folders."""
    if folders is None:
        patterns = [Path(pattern).expanduser() for pattern in LV2_FOLDERS]
        folders = [
            folder
            for pattern in patterns
            for folder in Path(pattern.anchor).glob(pattern.relative_to(pattern.anchor).as_posix())
        ]
        folders += [Path(folder) for folder in os.environ.get("LV2_PATH", "").split(os.pathsep) if folder]
    return GENERAL_MIDI if any((folder / "gmsynth.lv2").is_dir() for folder in folders) else REASONABLE


def write_session(
    arrangement: Arrangement, folder: Path, *, name: str, rate: int = RATE, synth: Synth | None = None
) -> None:
    """Write a session into an empty folder, which may be moved and renamed; `rate` is its sample rate.

    `synth` is put on every track. Without one the tracks are silent until somebody does that; so they are where it is
    missing, which Ardour says when it loads the session: it keeps the place, and all connections.

    Raises `OSError` where it cannot be written.
    """
    kept = "".join(letter if letter.isprintable() and letter not in '/\\:;"' else "_" for letter in name).strip()
    safe = cut(kept, LONGEST_SESSION) or "music"
    midi = folder / "interchange" / safe / "midifiles"
    midi.mkdir(parents=True)
    for each in ("analysis", "dead", "export", "externals", "peaks", "plugins"):
        (folder / each).mkdir()
    session = _Session(arrangement, safe, rate, synth=synth)
    for file, content in session.files():
        (midi / file).write_bytes(content)
    (folder / f"{safe}.ardour").write_bytes(session.text())


def added(
    session: str, arrangement: Arrangement, *, at: Fraction, taken: Collection[str], synth: Synth | None = None
) -> tuple[str, dict[str, bytes]]:
    """Return the XML of a session with our tracks, regions and markers added, and the MIDI files that it names besides.

    The film begins at `at` seconds. Notes are put where their times fall in the session's own tempo map, to a tick of
    Ardour's; every line of the XML stays but the counter of ids. `taken` are the names of MIDI files that are there,
    `synth` is put on our tracks. Raises `InputError` where the text is no session of Ardour 7.
    """
    try:
        root = fromstring(session)
    except ParseError as error:
        raise InputError(
            f"This is no Ardour session: {error}.", hint="Give a .ardour file that Ardour saved."
        ) from error
    counter = re.search(r'(<Session\b[^>]*\bid-counter=")(\d+)(")', session)
    tempo_map = root.find("TempoMap")
    version = root.get("version", "")
    known = version.isdecimal() and int(version) >= OLDEST
    if root.tag != "Session" or counter is None or tempo_map is None or not known:
        raise InputError("This is no session of Ardour 7.", hint=AGAIN)
    theirs = TheirTime(tempo_map)
    place = round(theirs.ticks(at))
    retimed = replace(
        arrangement, versions=tuple(_retimed(arrangement, each, theirs, at) for each in arrangement.versions)
    )
    names = {each.get("name", "") for tag in ("Route", "Playlist") for each in root.iter(tag)} | set(taken)
    made = _Session(
        retimed,
        "",
        int(root.get("sample-rate", RATE)),
        first=int(counter[2]) + 1,
        at=at,
        place=place,
        taken=names,
        second=theirs.second,
        order=1 + max((int(each.get("order", "0")) for each in root.iter("PresentationInfo")), default=0),
        master=_inputs(root),
        synth=synth,
    )
    pieces, following = made.pieces()
    text = session[: counter.start()] + f"{counter[1]}{following}{counter[3]}" + session[counter.end() :]
    for tag, lines in pieces.items():
        text = _inserted(text, tag, lines)
    window = re.search(r"^ *</GUIObjectState>$", text, re.MULTILINE)
    if window is not None:
        text = text[: window.start()] + made.looks() + text[window.start() :]
    return text, dict(made.files())


def _inserted(text: str, tag: str, lines: str) -> str:
    """Put lines at the end of an element of the session itself, which may be empty."""
    found = re.search(rf"^  <{tag}/>$|^  </{tag}>$", text, re.MULTILINE)
    if found is None:
        raise InputError(f"The session has no {tag}.", hint=AGAIN)
    opened = f"  <{tag}>\n" if found[0].endswith("/>") else ""
    return f"{text[: found.start()]}{opened}{lines}  </{tag}>{text[found.end() :]}"


def _inputs(root: Element) -> list[str]:
    """Return the inputs of a session's master bus; none where it has no such bus."""
    for route in root.iterfind("Routes/Route"):
        info = route.find("PresentationInfo")
        if info is not None and "MasterOut" in info.get("flags", "").split(","):
            return [port.get("name", "") for port in route.iterfind("IO[@direction='Input']/Port[@type='audio']")]
    return []


def _retimed(arrangement: Arrangement, version: Version, theirs: TheirTime, at: Fraction) -> Version:
    """Return a version in Ardour's ticks of another tempo map, counted from where the film begins."""
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
    files are others than those `taken`, however they are capitalised. A second has `second` superclocks, our first
    track is number `order`, and tracks play into the ports `master`.
    """

    def __init__(
        self,
        arrangement: Arrangement,
        name: str,
        rate: int,
        *,
        first: int = FIRST_ID,
        at: Fraction = Fraction(0),
        place: int = 0,
        taken: Collection[str] = (),
        second: int = SUPERCLOCKS,
        order: int = 1,
        master: Sequence[str] = ("Master/audio_in 1", "Master/audio_in 2"),
        synth: Synth | None = None,
    ) -> None:
        self._arrangement = arrangement
        self._name = name
        self._rate = rate
        self._id = first - 1
        self._at, self._place = at, place
        self._taken = {each.casefold() for each in (*taken, *OWN_NAMES)}
        self._second, self._order, self._inputs, self._synth = second, order, master, synth
        self._looks: list[Element] = []
        self._parts: dict[str, Part] = {}
        for version in (arrangement.version, *arrangement.versions):
            for part in version.parts:
                self._parts.setdefault(part.name, part)
        self._regions = {
            name: [self._region(part, each, number) for number, each in arrangement.others(part) if each]
            for name, part in self._parts.items()
        }

    def files(self) -> Iterator[tuple[str, bytes]]:
        """Yield the MIDI files by name: a track of one part of one take each."""
        for region in self._all():
            name = meta_event(TRACK_NAME, region.part.name.encode(errors="replace"))
            events = [(0, name), *_in_ardours_ticks(region.part, region.version)]
            last = max(_length(region.version), *(tick for tick, _ in events))
            yield region.file, file_of(0, TICKS, [chunk_of([*events, (last, meta_event(END_OF_TRACK))])])

    def text(self) -> bytes:
        """Return the XML."""
        root = Element("Session", version=FORMAT, name=self._name)
        root.set("sample-rate", str(self._rate))
        root.set("session-range-is-free", "0")
        made = "cmt-bridge"
        SubElement(root, "ProgramVersion", {"created-with": made, "modified-with": made})
        self._config(root)
        SubElement(root, "Bundles")
        self._music(root, master=True)
        self._click(root)
        self._tempo(root)
        looks = SubElement(SubElement(SubElement(root, "Extra"), "UI"), "GUIObjectState")
        looks.extend(self._looks)
        root.set("id-counter", str(self._id + 1))
        indent(root)
        return bytes(tostring(root, encoding="UTF-8", xml_declaration=True))

    def pieces(self) -> tuple[dict[str, str], int]:
        """Return what belongs into another session, by the element it goes into, and the next free id."""
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
        titles = {name: self._free(_title(name)) for name in self._parts}
        tracks = {name: self._next() for name in self._parts}
        routes = SubElement(root, "Routes")
        if master:
            self._master(routes)
        used, unused = SubElement(root, "Playlists"), SubElement(root, "UnusedPlaylists")
        heard = self._arrangement.version
        for order, (name, part) in enumerate(self._parts.items(), self._order):
            playing = self._next()
            self._track(routes, part, titles[name], tracks[name], playing, order)
            self._look(name, tracks[name])
            for version in self._arrangement.versions:
                region = next((each for each in self._regions[name] if each.version is version), None)
                if version is heard:
                    self._playlist(used, version, region, playing, titles[name], tracks[name])
                elif region is not None:
                    self._playlist(unused, version, region, self._next(), titles[name], tracks[name])
        if master:
            SubElement(root, "RouteGroups")

    def _look(self, name: str, track: str) -> None:
        """Have the notes seen: Ardour's window shows one octave of a track, whose notes may be elsewhere."""
        pitches = [note.pitch for region in self._regions[name] for note in region.part.notes]
        if pitches:
            lowest, highest = max(0, min(pitches) - 1), min(HIGHEST, max(pitches) + 1)
            highest = min(HIGHEST, max(highest, lowest + OCTAVE))
            said = {"id": f"rtav {track}", "note-range-min": str(lowest), "note-range-max": str(highest)}
            self._looks.append(Element("Object", said))

    def looks(self) -> str:
        """Return what the window remembers of our tracks, after `pieces`."""
        return "".join(f"        {tostring(each, encoding='unicode')}\n" for each in self._looks)

    def _next(self) -> str:
        self._id += 1
        return str(self._id)

    def _region(self, part: Part, same: Part, number: int) -> _Region:
        version = self._arrangement.versions[number]
        file = self._free(f"{file_name(part.name)} {file_name(version.name)}", ".mid")
        return _Region(same, version, file, self._next(), self._next(), self._next())

    def _free(self, name: str, suffix: str = "") -> str:
        """Return a name that nothing has."""
        count, found = 1, f"{name}{suffix}"
        while found.casefold() in self._taken:
            count += 1
            found = f"{name} {count}{suffix}"
        self._taken.add(found.casefold())
        return found

    def _all(self) -> Iterator[_Region]:
        for regions in self._regions.values():
            yield from regions

    def _config(self, root: Element) -> None:
        config = SubElement(root, "Config")
        name, start = timecode_of(self._arrangement.counting)
        options = {
            "timecode-format": name,
            "timecode-offset": str(round(start.time * self._rate)),
            "timecode-offset-negative": "1",  # the session begins later than the timecode, in Ardour's words
            "native-file-data-format": "FormatFloat",  # without which Ardour does not find the sample rate either
            "glue-new-markers-to-bars-and-beats": "0",
        }
        for name, value in options.items():
            SubElement(config, "Option", name=name, value=value)
        metadata = SubElement(root, "Metadata")
        SubElement(metadata, "title").text = _text(self._arrangement.title)
        film = self._arrangement.film
        shown = f" The film, for Session > Open Video: {_text(film.path.name)}" if film else ""
        late = f" Move it {float(self._arrangement.offset):.3f} s to the left: its picture begins so late in the file."
        shown += late if film and self._arrangement.offset else ""
        text = f"Music for a film, by cmt-bridge: bar 1 begins with the picture.{shown}"
        SubElement(metadata, "description").text = text

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
        length = _length(region.version)
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
                "start": self._superclock(self._at + start),
                "end": self._superclock(self._at + stop),
                "flags": flags,
                "locked": "0",
                "timestamp": "0",
            }
            SubElement(locations, "Location", said)

    def _superclock(self, seconds: Fraction) -> str:
        return f"a{round(seconds * self._second)}"

    def _master(self, routes: Element) -> None:
        route = self._route(routes, "Master", self._next(), "audio", 0, "MasterOut", (128, 128, 128))
        for direction in ("Input", "Output"):
            io = SubElement(route, "IO", {"name": "Master", "id": self._next(), "direction": direction})
            io.set("default-type", "audio")
            for number in (1, 2):
                port = f"Master/audio_{'in' if direction == 'Input' else 'out'} {number}"
                found = SubElement(io, "Port", type="audio", name=port)
                if direction == "Output":
                    SubElement(found, "Connection", other=f"system:playback_{number}")
        for kind in ("amp", "meter", "main-outs"):
            self._processor(route, "Master", kind)

    def _click(self, root: Element) -> None:
        click = SubElement(root, "Click")
        io = SubElement(click, "IO", {"name": "Click", "id": self._next(), "direction": "Output"})
        io.set("default-type", "audio")
        for number in (1, 2):
            port = SubElement(io, "Port", type="audio", name=f"Click/audio_out {number}")
            SubElement(port, "Connection", other=f"system:playback_{number}")
        self._processor(click, "Click", "amp")

    def _track(self, routes: Element, part: Part, title: str, key: str, playlist: str, order: int) -> None:
        route = self._route(routes, title, key, "midi", order, "MidiTrack", part.colour)
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
        ports = title.replace(":", "-")  # as Ardour itself calls them, since JACK has : between client and port
        for direction, port in (("Input", "midi_in 1"), ("Output", "midi_out 1")):
            io = SubElement(route, "IO", {"name": title, "id": self._next(), "direction": direction})
            io.set("default-type", "midi")
            if self._synth and direction == "Output":
                for number, other in zip((1, 2), [*self._inputs, "", ""], strict=False):
                    sound = SubElement(io, "Port", type="audio", name=f"{ports}/audio_out {number}")
                    if other:
                        SubElement(sound, "Connection", other=other)
            SubElement(io, "Port", type="midi", name=f"{ports}/{port}")
        for kind in ("diskwriter", "diskreader", *(["lv2"] if self._synth else []), "amp", "meter", "main-outs"):
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
        if kind == "lv2" and self._synth:
            said |= {"name": self._synth.name, "unique-id": self._synth.uri, "count": "1", "custom": "0"}
        processor = SubElement(route, "Processor", said)
        if kind == "lv2":  # what goes in and out is stated so that it stays where the plugin is missing
            for tag, types in (("ConfiguredInput", {"midi": 1}), ("ConfiguredOutput", {"audio": 2, "midi": 1})):
                channels = SubElement(processor, tag)
                for each, count in types.items():
                    SubElement(channels, "Channels", type=each, count=str(count))
            SubElement(processor, "lv2")

    def _playlist(
        self, parent: Element, version: Version, region: _Region | None, key: str, title: str, track: str
    ) -> None:
        """Playlists of one take are a group: Ardour can change all tracks to that take at once."""
        take = _text(version.name)
        said = {"id": key, "name": self._free(f"{title} {take}"), "type": "midi", "orig-track-id": track}
        said |= {"pgroup-id": take, "shared-with-ids": "", "frozen": "0", "combine-ops": "0"}
        playlist = SubElement(parent, "Playlist", said)
        if region is not None:
            self._piece(playlist, region, region.piece, whole=False)

    def _tempo(self, root: Element) -> None:
        version = self._arrangement.version
        tempo_map = SubElement(root, "TempoMap", {"superclocks-per-second": str(SUPERCLOCKS)})
        tempos, meters = SubElement(tempo_map, "Tempos"), SubElement(tempo_map, "Meters")
        clock = OurTime(version)
        for tick, uspq in {ardour_ticks(version, tick): uspq for tick, uspq in version.tempos}.items():
            bpm = f"{MICROSECONDS_PER_MINUTE / uspq:.12f}".rstrip("0").rstrip(".")
            said = {"npm": bpm, "enpm": bpm, "note-type": "4", "type": "Tempo::Constant", "active": "1"}
            said |= {"locked-to-meter": "0", "continuing": "0", **clock.at(tick), "omega": "0"}
            SubElement(tempos, "Tempo", said)
        for metre in clock.metres:
            said = {"note-value": str(metre.denominator), "divisions-per-bar": str(metre.numerator)}
            SubElement(meters, "Meter", said | clock.at(metre.tick))


def _length(version: Version) -> int:
    return max(1, ardour_ticks(version, version.length))


def _in_ardours_ticks(part: Part, version: Version) -> list[Event]:
    """Return the events of a part at Ardour's ticks, since Ardour itself rounds down.

    They keep their order, but what ends comes before what begins, and no note is shorter than a tick. An end without a
    beginning is left out.
    """
    starts = {pair.off: part.events[pair.on][0] for pair in part.pairs}
    found: list[tuple[int, bool, bytes]] = []
    for number, (tick, message) in enumerate(part.events):
        now = ardour_ticks(version, tick)
        if number in starts:
            found.append((max(now, ardour_ticks(version, starts[number]) + 1), False, message))
        elif not releases(message):
            found.append((now, True, message))
    return [(tick, message) for tick, _, message in sorted(found, key=lambda each: each[:2])]


def _text(text: str) -> str:
    """Return a text without what XML cannot say."""
    return "".join(letter if letter.isprintable() else " " for letter in text)


def _title(name: str) -> str:
    """Return the name of a part as that of a track, which has to fit into the names of its ports."""
    return cut(_text(name).strip(), LONGEST_NAME) or "Music"
