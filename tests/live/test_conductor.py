from __future__ import annotations

import asyncio
import os
from collections import Counter
from collections.abc import Awaitable, Callable
from itertools import pairwise
from pathlib import Path

import mido
import pytest

from cmt_bridge.errors import InputError, MissingError, UsageError
from cmt_bridge.live.conductor import held_name
from cmt_bridge.live.learn import Learned
from cmt_bridge.live.request import StreamRequest
from cmt_bridge.live.sheet import Sheet
from cmt_bridge.takes.locate import find_take_folder
from cmt_bridge.takes.take import NewTake, TakeInfo
from cmt_bridge.takes.take_folder import TakeFolder
from tests.e2e.conftest import write_metadata
from tests.jack import Server, hanging, recorder, transport
from tests.live.edited import edited, saved, timed
from tests.live.playing import piece, playing, project, struck, written

pytestmark = pytest.mark.slow

MUSIC = "cmt-bridge:music"


def run(test: Callable[[], Awaitable[None]]) -> None:
    async def body() -> None:
        await test()

    asyncio.run(body())


def test_the_current_take_is_played_to_its_end(jack: Server, tmp_path: Path) -> None:
    score = piece()
    project(tmp_path, piece(pitch=40), score)

    async def test() -> None:
        with recorder(jack) as ear:
            async with playing(StreamRequest(tmp_path / "clip.mp4", wait=True)) as stream:
                await stream.hear("ready")
                ear.listen(MUSIC)
                stream.conductor.request = StreamRequest(tmp_path / "clip.mp4")
                stream.conductor.turn({"play": True})
                await stream.end()
            heard = ear.stop()
        assert struck(heard) == written(score)
        assert not hanging(heard)
        assert stream.said[0]["take"] == 2
        assert stream.conductor.state["underruns"] == 0

    run(test)


def edited_project(folder: Path, clip: Path, file: mido.MidiFile) -> TakeFolder:
    """Give the project of a clip whose one take was edited elsewhere."""
    info = TakeInfo("regenerate", "2026-01-02T03:04:05+00:00", edited=True)
    return TakeFolder.create(folder / "clip.cmt", clip.name, "abc", [NewTake(piece(2), info, None, saved(file))])


def test_an_edited_take_is_played_with_all_it_says(jack: Server, tmp_path: Path) -> None:
    clip = tmp_path / "clip.mp4"
    clip.write_bytes(b"a video")
    file = edited(tempos=((0, 300_000),), bars=2)
    edited_project(tmp_path, clip, file)

    async def test() -> None:
        with recorder(jack) as ear:
            async with playing(StreamRequest(clip, wait=True)) as stream:
                await stream.hear("ready")
                ear.listen(MUSIC)
                stream.conductor.request = StreamRequest(clip)
                stream.conductor.turn({"play": True})
                await stream.end()
            heard = ear.stop()
        assert not hanging(heard)
        meant = Counter(data for _, data in timed(file))
        assert Counter(each.data for each in heard if each.data in meant) == meant | {b"\xb0\x40\x00": 5}

    run(test)


@pytest.mark.usefixtures("jack")
def test_an_edited_take_is_continued_on_its_channels(tmp_path: Path, tiny_model: Path) -> None:
    clip = write_metadata(tmp_path / "clip.json", 12.0)
    file = edited(tempos=((0, 250_000),), bars=12)
    for message in file.tracks[2]:
        if not message.is_meta:
            message.channel = 7
    edited_project(tmp_path, clip, file)

    async def test() -> None:
        async with playing(StreamRequest(clip, {"model": str(tiny_model)}, loop=(0, 2))) as stream:
            await stream.hear("ready")
            await stream.hear("state", bar=1)
            before = dict(stream.conductor._sheet.bars)
            stream.conductor.turn({"density": 4})
            kept = await stream.hear("take", take=2)
            sheet = stream.conductor._sheet.bars
            assert Path(kept["project"]) == tmp_path / "clip.cmt"
            assert [sheet[bar] for bar in range(2)] == [before[bar] for bar in range(2)]
            entries = [entry for bar in range(4, 12) for entry in sheet[bar]]
            channels = {entry[2] for entry in entries if not isinstance(entry[1], str)}
            assert channels <= {9, 7, 1, 2, 3}
            told = {int(entry[1][1], 16) for entry in entries if isinstance(entry[1], str)}
            assert told == channels & {1, 2, 3}
            assert stream.conductor.state["rolling"]

    run(test)


def test_without_a_take_music_is_composed_and_kept(jack: Server, tmp_path: Path, tiny_model: Path) -> None:
    clip = write_metadata(tmp_path / "clip.json", 6.0)
    request = StreamRequest(clip, {"model": str(tiny_model), "tempo": "240"})

    async def test() -> None:
        with recorder(jack) as ear:
            async with playing(request) as stream:
                await stream.hear("ready")
                ear.listen(MUSIC)
                await stream.end()
            heard = ear.stop()
        kept = find_take_folder(clip)
        assert kept is not None
        assert kept.current().number == 1
        assert not hanging(heard)
        assert sum(struck(heard).values()) > 0
        assert struck(heard) <= written(kept.current().score())  # the ear was connected after the first ones
        assert stream.conductor.state["restarts"] == {"player": 0, "composer": 0}

    run(test)


def test_another_take_enters_at_the_next_pass_of_a_loop(jack: Server, tmp_path: Path) -> None:
    takes = project(tmp_path, piece(4, 72, length=8), piece(4, 48, length=8))

    async def test() -> None:
        with recorder(jack) as ear:
            async with playing(StreamRequest(tmp_path / "clip.mp4", loop=(0, 2))) as stream:
                await stream.hear("ready")
                ear.listen(MUSIC)
                await stream.hear("state", bar=1)
                said = len(stream.said)
                await asyncio.to_thread(takes.choose, 1)
                await stream.hear("take", take=1)
                for _ in range(2):
                    said = len(stream.said)
                    await stream.hear("state", said, bar=1)
                    said = len(stream.said)
                    await stream.hear("state", said, bar=0)
                stream.conductor.turn({"take": 2})
                await stream.hear("take", said, take=2)
                stream.conductor.turn({"take": 9})
                assert "9" in (await stream.hear("note"))["text"]
            heard = ear.stop()
        assert not hanging(heard)
        pitches = [each.data[1] for each in heard if each.is_on and each.key[0] == 0]
        turns = [pitch for pitch, next_ in pairwise(pitches) if pitch != next_]
        assert turns[0] == min(pitches)  # the second take was the first
        assert len(set(pitches)) == 2

    run(test)


@pytest.mark.parametrize("victim", ["player", "composer"])
def test_a_killed_process_restarts_where_it_was(jack: Server, tmp_path: Path, tiny_model: Path, victim: str) -> None:
    clip = write_metadata(tmp_path / "clip.json", 16.0)
    request = StreamRequest(clip, {"model": str(tiny_model), "tempo": "120"})

    async def test() -> None:
        with recorder(jack) as ear:
            async with playing(request) as stream:
                if victim == "composer":
                    await stream.until(lambda: stream.conductor._composer)
                else:
                    await stream.hear("ready")
                    ear.listen(MUSIC)
                    await stream.hear("state", bar=1)
                child = getattr(stream.conductor, f"_{victim}")
                os.kill(child.pid, 9)
                await stream.hear("restart", process=victim)
                said = len(stream.said)
                if victim == "composer":
                    await stream.hear("ready")
                    ear.listen(MUSIC)
                else:
                    await stream.hear("ready", said)
                await stream.hear("state", said, rolling=True, bar=3)
                assert stream.conductor.state["restarts"][victim] == 1
            heard = ear.stop()
        assert not hanging(heard)
        assert struck(heard)

    run(test)


def begun(sheet: Sheet) -> dict[int, list[tuple[int, ...]]]:
    """Give what begins in each bar; how long it sounds is also for the bars after it to say."""
    return {bar: sorted((tick, *rest) for tick, _, *rest in notes) for bar, notes in sheet.bars.items()}


@pytest.mark.usefixtures("jack")
def test_a_change_survives_the_composer_that_received_it(tmp_path: Path, tiny_model: Path) -> None:
    clip = write_metadata(tmp_path / "clip.json", 24.0)
    request = StreamRequest(clip, {"model": str(tiny_model), "control": "1"}, wait=True)

    async def test() -> None:
        async with playing(request) as stream:
            await stream.hear("take")
            conductor = stream.conductor
            before = begun(conductor._sheet)
            conductor.turn({"density": 8})
            await stream.until(lambda: not conductor._complete)
            assert conductor._composer is not None
            os.kill(conductor._composer.pid, 9)
            await stream.hear("restart", process="composer")
            await stream.until(lambda: conductor._complete)
            after = begun(conductor._sheet)
            assert [bar for bar in before if before[bar] != after[bar]][:1] == [1]
            assert sum(len(after[bar]) for bar in range(2, 10)) > sum(len(before[bar]) for bar in range(2, 10))

    run(test)


def test_a_player_killed_in_a_loop_rejoins_it(jack: Server, tmp_path: Path) -> None:
    project(tmp_path, piece(8, length=8))

    async def test() -> None:
        with recorder(jack) as ear:
            async with playing(StreamRequest(tmp_path / "clip.mp4", loop=(4, 6))) as stream:
                await stream.hear("ready")
                ear.listen(MUSIC)
                await stream.hear("state", bar=5, rolling=True)
                assert stream.conductor._player is not None
                os.kill(stream.conductor._player.pid, 9)
                await stream.hear("restart")
                said = len(stream.said)
                await stream.hear("ready", said)
                for bar in (4, 5, 4):
                    await stream.hear("state", len(stream.said), bar=bar, rolling=True)
            heard = ear.stop()
        assert {each["bar"] for each in stream.said[said:] if each["event"] == "state" and each["rolling"]} == {4, 5}
        assert not hanging(heard)

    run(test)


def test_whoever_is_followed_decides(jack: Server, tmp_path: Path) -> None:
    project(tmp_path, piece(8, bpm=120.0))

    async def test() -> None:
        with recorder(jack) as ear, transport(jack) as leader:
            async with playing(StreamRequest(tmp_path / "clip.mp4", follow="jack")) as stream:
                await stream.hear("ready")
                ear.listen(MUSIC)
                assert not stream.conductor.state["rolling"]
                stream.conductor.turn({"play": True})
                leader.locate(48000 * 2 * 3)
                leader.play()
                await stream.hear("state", rolling=True, bar=3)
                leader.stop()
                await stream.hear("state", len(stream.said), rolling=False)
                leader.locate(48000 * 2 * 7)
                leader.play()
                await stream.hear("state", rolling=True, bar=8)  # beyond its end there is silence, and it waits
                leader.stop()
                await stream.hear("state", len(stream.said), rolling=False)
                assert not stream.task.done()
            heard = ear.stop()
        assert struck(heard)
        assert not hanging(heard)

    run(test)


def test_controls_are_heard(jack: Server, tmp_path: Path, tiny_model: Path) -> None:
    import jack as library

    clip = write_metadata(tmp_path / "clip.json", 12.0)
    request = StreamRequest(clip, {"model": str(tiny_model)}, solo=("drums",), endless=True, controls=("knobs",))
    learned = Learned(tmp_path / "learned.toml", ["solo.piano", "density"])
    waiting: list[tuple[int, ...]] = []

    async def test() -> None:
        client = library.Client("knobs", servername=jack.name, no_start_server=True)
        out = client.midi_outports.register("out")

        @client.set_process_callback
        def process(_: int) -> None:
            out.clear_buffer()
            if waiting:
                out.write_midi_event(0, waiting.pop(0))

        try:
            with client, recorder(jack) as ear:
                async with playing(request, learned) as stream:
                    await stream.hear("ready")
                    ear.listen(MUSIC)
                    await stream.hear("state", bar=1)
                    waiting.append((0xB0, 20, 127))
                    await stream.hear("learned", control="solo.piano", channel=1, controller=20)
                    await stream.hear("controls", soloed=["drums", "piano"])
                    waiting.append((0xB2, 7, 127))
                    await stream.hear("learned", control="density", channel=3, controller=7)
                    assert (await stream.hear("controls", density=15))["soloed"] == ["drums", "piano"]
                    now = stream.conductor.state["bar"]
                    await stream.until(lambda: stream.conductor.state["bar"] >= now + 4)
                    sheet = stream.conductor._sheet.bars
                    before, after = (len({note[0] for note in sheet[bar]}) for bar in (0, now + 3))
                    assert after > before
                    with pytest.raises(UsageError, match="density must be a whole number from -15 to 15, not 16"):
                        stream.conductor.turn({"density": 16})
                heard = ear.stop()
        finally:
            client.close()
        assert {each.key[0] for each in heard if each.is_on} <= {9, 0}
        assert not hanging(heard)
        assert Learned(tmp_path / "learned.toml").knobs == learned.knobs == {(0, 20): "solo.piano", (2, 7): "density"}

    run(test)


@pytest.mark.usefixtures("jack")
def test_what_keeps_it_from_being_played_is_raised(tmp_path: Path, tiny_model: Path) -> None:
    (tmp_path / "broken.json").write_text("{}")

    async def test() -> None:
        for name in ("nothing.mp4", "broken.json"):
            async with playing(StreamRequest(tmp_path / name, {"model": str(tiny_model)})) as stream:
                with pytest.raises(InputError, match=name.replace(".", r"\.")):
                    await stream.end()

    run(test)


def test_without_a_server_it_is_said_what_to_start(
    jack: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project(tmp_path, piece())
    monkeypatch.setenv("JACK_DEFAULT_SERVER", f"{jack.name}-other")

    async def test() -> None:
        async with playing(StreamRequest(tmp_path / "clip.mp4", backend="jack")) as stream:
            with pytest.raises(MissingError, match="No JACK server runs"):
                await stream.end()

    run(test)


def test_a_name_is_held_by_one_stream_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CMT_BRIDGE_STATE", str(tmp_path))
    with held_name("a") as (first, ledger), held_name("a") as (second, other):
        assert (first, second) == ("a", "a 2")
        assert ledger != other
    with held_name("a") as (again, same):
        assert (again, same) == ("a", ledger)
