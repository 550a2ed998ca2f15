"""Read the picture of a video file, packet by packet and picture by picture, on a clock that goes straight on.

Whoever reads a film, to measure it or to copy it, does it by this, so that all mean the same first picture, the same
moments and the same end.
"""

from __future__ import annotations

import os
import re
import stat
from bisect import bisect_left, insort
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any, Final

import av
from av.container import InputContainer
from av.video.stream import VideoStream as AvStream

from cmt_bridge.core.bounds import FILM
from cmt_bridge.core.files import of_one_file
from cmt_bridge.errors import VideoError
from cmt_bridge.media.wholeness import is_whole

__all__ = ["USUAL_RATE", "Reel", "Shown", "check_file"]

BIG_FRAME: Final = 4096 * 2304  # pixels; above it each decoding thread would hold tens of megabytes
MOST_PIXELS: Final = 16_384 * 8_192  # of a picture; what states more is damaged, and would take gigabytes
USUAL_RATE: Final = Fraction(25)  # where a file states no frame rate
FASTEST: Final = 1000  # frames per second; what states more means something else
JUMP_BACK: Final = 1  # s; time stamps that fall back further start anew, as in joined transport streams
LEAP: Final = 10  # s; a gap in a transport stream, through which nothing else goes on, is no time. As FFmpeg has it
FAR_LEAP: Final = 600  # s; the same in a file whose time stamps were written for it
SETTLED: Final = 4  # usual steps that a picture may be held without anything else saying so
ROUNDING: Final = 0.1  # s by which stated lengths and time stamps may differ
MISSING: Final = 1.0, 0.05  # s, and share of the stated length, by which a picture must end early to be damaged
READ: Final = 0.75  # share of a file after which nothing essential may follow
DISCONTINUOUS: Final = 0x0200  # FFmpeg's AVFMT_TS_DISCONT: time stamps begin anywhere and may begin anew
INDEXED: Final = "mov"  # the format whose length is the sum of what its index lists
FAR_OFF: Final = 60  # s after its zero at which the first of a file begins on a clock of somebody else's
PLAIN: Final = 1024  # bytes a second; a file that has less is believed to be long only if its index says so too
SLACK: Final = 1 << 20  # bytes
SMALL_FRAME: Final = 640 * 360  # pixels
FEW: Final = 4  # pictures that are glimpsed where they are big
MOST_AHEAD: Final = 48  # small pictures that are decoded to glimpse one
UNLIKELY: Final = 2  # times the length that bytes speak for, beyond which time stamps at the end do not belong here


def check_file(path: Path) -> None:
    """Raise `VideoError` unless `path` is a regular file that can be read and is not empty."""
    hint = "Give the path of a video file."
    try:
        mode = path.stat()
        if stat.S_ISDIR(mode.st_mode):
            raise VideoError(f"{path} is a folder, not a video.", hint=hint)
        if not stat.S_ISREG(mode.st_mode):
            raise VideoError(f"{path} is not a regular file.", hint="Save the video to a file first.")
        if mode.st_size == 0:
            raise VideoError(f"{path} is empty.", hint="If it is still being copied, wait until that has ended.")
        with path.open("rb") as file:
            file.read(1)
    except FileNotFoundError:
        raise VideoError(f"There is no file {path}.", hint="Check the path.") from None
    except PermissionError:
        raise VideoError(f"{path} may not be read.", hint="Change its permissions, or copy it.") from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise VideoError(f"{path} cannot be read: {reason}.", hint=hint) from None


@dataclass(frozen=True, slots=True)
class Shown:
    """What of a file is shown: from `start` to `end` in time-base units; its first `before` packets are not needed."""

    start: int
    end: int
    before: int


class Reel:
    """The best picture stream of a file: a context manager, of which either packets or pictures are read, once.

    Times are counted in `time_base` on the clock of the file. After the iteration `decoded` counts all pictures, `end`
    is when the last one ends, `joints` are the times at which the clock jumped, and `damage` says in words what could
    not be read, or is empty.

    Raises `VideoError` where the file holds no picture stream, or one longer than any film.
    """

    def __init__(self, path: Path) -> None:
        check_file(path)
        av.logging.set_level(None)
        self.path = path
        self.decoded = 0
        self.damage = ""
        self.end = 0
        self._bytes = path.stat().st_size
        self._read = self._packets = self._tail = 0
        self._broken = False
        self._container = self._opened()
        try:
            self.stream = self._chosen()
            self.time_base = self.stream.time_base or Fraction(1, 1000)
            self._clock = _Clock(LEAP if self._is_discontinuous else FAR_LEAP)
            self._refuse_endless()
        except BaseException:
            self._container.close()
            raise
        context = self.stream.codec_context
        big = context.width * context.height > BIG_FRAME
        context.thread_type = "SLICE" if big else "AUTO"
        context.thread_count = min(4, os.cpu_count() or 1)
        context.options = {"max_pixels": str(MOST_PIXELS)}

    def _opened(self) -> InputContainer:
        try:
            # `file:` keeps a colon in a name from being a protocol; the whitelist keeps playlists off the net.
            return av.open(f"file:{self.path}", metadata_errors="replace", options=of_one_file(av.formats_available))
        except (av.error.FFmpegError, OSError, ValueError, UnicodeError):
            raise VideoError(
                f"{self.path} is not a video, or it is damaged.",
                hint="Try whether a player opens it; if it is still being copied, wait until that has ended.",
            ) from None

    def _chosen(self) -> AvStream:
        best = self._container.streams.best("video")
        cover = av.stream.Disposition.attached_pic
        real = [stream for stream in self._container.streams.video if not stream.disposition & cover]
        if not real:
            raise VideoError(f"{self.path} has no picture, only sound.", hint="Give a file with a video stream.")
        stream = best if isinstance(best, AvStream) and best in real else real[0]
        try:
            context = stream.codec_context
        except (av.error.FFmpegError, RuntimeError, ValueError):
            context = None
        if context is None:
            raise VideoError(
                f"The pictures in {self.path} are coded in a way that is not known here.", hint="Convert it to H.264."
            )
        return stream

    def _refuse_endless(self) -> None:
        """Refuse a film whose length is absurd before anything of it is read, where the file can mean it."""
        stated = self._stated()
        listed = self.stream.index_entries
        confirmed = len(listed) > 1 and (listed[-1].timestamp - listed[0].timestamp) * self.time_base > FILM.most
        if stated is None or stated <= FILM.most or self._is_discontinuous:
            return
        if confirmed or self._bytes > PLAIN * stated:
            raise self._endless()

    def _endless(self) -> VideoError:
        return VideoError(
            f"{self.path} is longer than {FILM.most / 3600:g} hours, which is the most that is scored.",
            hint="Cut it into parts; a shorter film that says so has damaged time stamps: remux it.",
        )

    @property
    def _is_discontinuous(self) -> bool:
        return bool(self._container.format.flags & DISCONTINUOUS)

    @property
    def _zero(self) -> Fraction:
        """The second of the file's clock at which the file begins: 0, or where its first stream does."""
        first = Fraction(self._container.start_time or 0, av.time_base)
        return first if self._is_discontinuous or first > FAR_OFF else Fraction(0)

    def offset(self, time: int) -> float:
        """Return the seconds from the beginning of the file to a time, which is 0 at least."""
        return float(max(Fraction(0), time * self.time_base - self._zero))

    def _stated(self) -> float | None:
        """Return the length of the picture in seconds where the file states that, and not of all in it."""
        if self.stream.duration and self.stream.duration > 0:
            return float(self.stream.duration * self.time_base)
        said = re.fullmatch(r"(\d+):(\d\d):(\d\d(?:\.\d+)?)\s*", str(self.stream.metadata.get("DURATION", "")))
        if said:  # as Matroska keeps when a stream ends
            end = int(said[1]) * 3600 + int(said[2]) * 60 + float(said[3])
            return max(0.0, end - float((self.stream.start_time or 0) * self.time_base)) or None
        return self._whole_stated() if len(self._container.streams) == 1 else None

    def _whole_stated(self) -> float | None:
        """Return the length of all in the file, as it states it."""
        duration = self._container.duration
        return duration / av.time_base if duration and duration > 0 else None

    @property
    def stated(self) -> float | None:
        """The length in seconds as far as the file states one that can be believed before it is read."""
        listed = self.stream.index_entries
        found = self._stated() or self._whole_stated()
        if self._container.format.name == "avi" and len(listed) > 1:
            found = float((listed[-1].timestamp - listed[0].timestamp + 1) * self.time_base)  # it has a list of them
        return None if found is None else min(found, FILM.most)

    def expected(self, least: int) -> int:
        """Return the length in time-base units that is likely after `least` of it was read."""
        stated, so_far = self.stated, float(least * self.time_base)
        if stated is None or (self._is_discontinuous and stated > UNLIKELY * so_far / max(self.share, 1e-9)):
            return least
        return max(least, round(stated / self.time_base))

    @property
    def step(self) -> int:
        """The usual time of a picture."""
        rate = self.stream.average_rate
        return max(1, round(1 / (rate if rate and 0 < rate <= FASTEST else USUAL_RATE) / self.time_base))

    @property
    def joints(self) -> tuple[Fraction, ...]:
        """The seconds at which the clock jumped and was joined up."""
        return tuple(self._clock.joints)

    @property
    def share(self) -> float:
        """The share of the file that was read, 0..1."""
        return min(1.0, self._tail / self._bytes)

    def __enter__(self) -> Reel:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._container.close()

    def packets(self) -> Iterator[Any]:
        """Yield the packets of the picture, an empty one last; their time stamps go on where those of the file jump."""
        others = [each for each in self._container.streams.audio if each.codec_context is not None]
        first: int | None = None
        demuxed = self._container.demux([self.stream, *others])
        while True:
            try:
                packet = next(demuxed)
            except StopIteration:
                return
            except (av.error.FFmpegError, OSError):
                self._broken = True
                return
            self._packets += 1
            self._read += packet.size
            self._tail = max(self._tail, (packet.pos or 0) + packet.size)
            if self._read > 2 * self._bytes + SLACK or self._packets > self._bytes + SLACK:
                self._broken = True  # its index names the same bytes again and again
                return
            if packet.stream_index != self.stream.index:
                self._clock.hear(packet)
                continue
            self._clock.straighten(packet, self.step)
            stamp = packet.pts if packet.pts is not None else packet.dts
            if stamp is not None:
                first = stamp if first is None else first
                if (stamp - first) * self.time_base > FILM.most:
                    raise self._endless()
            yield packet

    def glimpses(self, count: int) -> Iterator[Any]:
        """Yield some pictures from all over the file, or those that can be had, before any packet is read."""
        context = self.stream.codec_context
        patience = max(1, MOST_AHEAD * SMALL_FRAME // max(1, context.width * context.height))
        count = count if context.width * context.height <= BIG_FRAME else FEW
        span = self.stated or 0.0
        zero = self._container.start_time or 0
        try:
            with av.open(
                f"file:{self.path}", metadata_errors="replace", options=of_one_file(av.formats_available)
            ) as file:
                stream = file.streams[self.stream.index]
                if not isinstance(stream, AvStream):
                    return
                stream.codec_context.options = {"max_pixels": str(MOST_PIXELS)}
                for number in range(count):
                    aim = span * (number + 0.5) / count
                    file.seek(zero + round(aim * av.time_base), any_frame=False)
                    picture = None
                    for seen, picture in enumerate(file.decode(stream), 1):
                        if seen >= patience or (picture.time or 0.0) - zero / av.time_base >= aim:
                            break
                    if picture is not None:
                        yield picture
        except (av.error.FFmpegError, OSError, ValueError, IndexError):
            return

    def shown(self) -> Shown:
        """Read the file to its end and give what of it is shown: from the first picture on that `pictures` gives."""
        fed: list[tuple[int, bool]] = []  # time stamps, and whether they are of pictures that need no other
        start: int | None = None
        before = 0
        last = (0, 0)
        for packet in self.packets():
            stamp = packet.pts if packet.pts is not None else packet.dts
            if stamp is not None and packet.size and not packet.is_discard:
                last = max(last, (stamp, packet.duration or 0)) if fed else (stamp, packet.duration or 0)
            if start is None:
                fed.append((stamp, packet.is_keyframe))
                start = self._first(packet)
                if start is not None:
                    place = next((n for n, (each, _) in enumerate(fed) if each == start), 0)
                    before = max((n for n in range(place + 1) if fed[n][1]), default=place)
        if start is None:
            raise self.undecodable()
        return Shown(start, self.until(*last), before)

    @staticmethod
    def _first(packet: Any) -> int | None:
        try:
            pictures = packet.decode()
        except (av.error.FFmpegError, OSError, ValueError):
            return None
        if not pictures:
            return None
        return next((each for each in (pictures[0].pts, pictures[0].dts) if each is not None), 0)

    def undecodable(self) -> VideoError:
        """Return the error of a file without a picture that can be shown."""
        return VideoError(
            f"No picture in {self.path} could be decoded.",
            hint="The file is damaged or holds nothing to show; try whether a player shows it.",
        )

    def pictures(self) -> Iterator[tuple[Any, int]]:
        """Yield each picture that can be decoded, and when it is shown; what cannot be decoded is stepped over."""
        spoilt, last = 0, None
        stamps = _Stamps(self.stream.codec_context.reorder_depth)
        begin = 0
        for packet in self.packets():
            stamps.feed(packet)
            try:
                pictures = packet.decode()
            except (av.error.FFmpegError, OSError, ValueError):
                spoilt += packet.size > 0
                continue
            for picture in pictures:
                self.decoded += 1
                stamp = stamps.of(picture)
                time = self.end if stamp is None else stamp
                if last is not None and time <= last:
                    continue
                begin = time if last is None else begin
                last, self.end = time, self.until(time, int(picture.duration or 0))
                yield picture, time
        self.damage = self._damage(spoilt, (self.end - begin) * self.time_base)

    def until(self, time: int, span: int) -> int:
        """Return when a picture ends that is shown from `time` on for `span`, if that can be believed.

        It can where it is a usual time, or where the file states such a length.
        """
        stated = self._stated()
        ends = self._whole_stated() if stated is None else stated
        if span > 0 and (
            span <= SETTLED * self.step
            or (ends is not None and self.offset(time + span) - self._began <= ends + ROUNDING)
        ):
            return time + span
        return time + self.step

    @property
    def _began(self) -> float:
        return self.offset(self.stream.start_time or 0)

    def _damage(self, spoilt: int, length: Fraction) -> str:
        if self._broken:
            return "the file breaks off"
        if spoilt:
            return f"{spoilt} {'piece' if spoilt == 1 else 'pieces'} of it could not be decoded"
        whole = is_whole(self.path)
        if whole is False:
            return "the file breaks off"
        found = float(length)
        if self._container.format.name.startswith(INDEXED):
            stated = self._stated()
        elif self._is_discontinuous or (whole and self._tail > READ * self._bytes):
            return ""  # what its head says is no more than a guess
        else:
            stated, found = self._whole_stated(), max(found, self._clock.latest)
        least, share = MISSING
        if stated is not None and stated - found > max(least, share * stated):
            return f"it states {stated:.1f} s, but the picture ends earlier"
        return ""


class _Clock:
    """The clock of a file, which goes on where time stamps jump: back, or ahead by more than `leap` seconds.

    A gap is believed where a sound goes on through it.
    """

    def __init__(self, leap: int) -> None:
        self.joints: list[Fraction] = []
        self._leap = leap
        self._shift = 0
        self._due: int | None = None
        self._sounds: dict[int, tuple[Fraction, Fraction]] = {}  # since when each sound goes on, and until when

    @property
    def latest(self) -> float:
        """The second at which the last of the sounds ends."""
        return float(max((last for _, last in self._sounds.values()), default=0))

    def hear(self, packet: Any) -> None:
        """Note the time of another stream's packet."""
        stamp = packet.dts if packet.dts is not None else packet.pts
        if stamp is None or packet.time_base is None:
            return
        time = stamp * packet.time_base
        since, last = self._sounds.get(packet.stream_index, (time, time))
        if not last - JUMP_BACK <= time <= last + self._leap:
            since = time
        self._sounds[packet.stream_index] = since, time

    def straighten(self, packet: Any, step: int) -> None:
        """Move a packet of the picture to where it follows the one before."""
        stamp = packet.dts if packet.dts is not None else packet.pts
        if stamp is None:
            return
        base = packet.time_base
        if self._due is not None:
            gap = (stamp + self._shift - self._due) * base
            if gap < -JUMP_BACK or (gap > self._leap and not self._is_heard(stamp * base - gap, stamp * base)):
                self._shift = self._due - stamp
                self.joints.append(self._due * base)
        span = packet.duration or 0
        self._due = stamp + self._shift + (span if span > 0 else step)
        if self._shift:
            packet.dts = None if packet.dts is None else packet.dts + self._shift
            packet.pts = None if packet.pts is None else packet.pts + self._shift

    def _is_heard(self, before: Fraction, after: Fraction) -> bool:
        return any(since <= before + self._leap and last >= after - self._leap for since, last in self._sounds.values())


class _Stamps:
    """Say when pictures are shown, by the time stamps of the packets that were fed.

    Some files number pictures as they are decoded, not as they are shown. Decoders give pictures in the order of
    showing; so, as long as no time stamp of a file goes back, each picture gets the earliest that is left. `depth` is
    how many pictures are decoded before an earlier one, at most; with 0 both orders are the same.
    """

    def __init__(self, depth: int) -> None:
        self._depth = depth
        self._is_by_order = depth > 0
        self._latest: int | None = None
        self._left: list[int] = []

    def feed(self, packet: Any) -> None:
        """Note a packet."""
        stamp = packet.pts if packet.pts is not None else packet.dts
        if not self._is_by_order or stamp is None or not packet.size:
            return
        if self._latest is not None and stamp < self._latest:
            self._is_by_order = False
        self._latest = stamp
        insort(self._left, stamp)

    def of(self, picture: Any) -> int | None:
        """Return the time stamp of the next picture; None where it has none."""
        own: int | None = picture.pts if picture.pts is not None else picture.dts
        if not self._is_by_order or own is None or not self._left:
            return own
        lost = bisect_left(self._left, own) - self._depth
        del self._left[: max(0, lost)]  # those of pieces that could not be decoded
        return self._left.pop(0)
