import json
from collections.abc import Callable
from pathlib import Path

import mido
import numpy as np
import pytest
import torch

from cmt_bridge.compose.codec import Grid, decode
from cmt_bridge.core.instruments import Instrument
from cmt_bridge.core.tokens import BAR, Column, Type
from cmt_bridge.errors import CheckpointError, InputError, UsageError
from cmt_bridge.model.checkpoint import load_network
from cmt_bridge.training.batches import Sampler, evaluation_batches
from cmt_bridge.training.corpus import FEW_FILES, Corpus, read_corpus
from cmt_bridge.training.loop import TrainingOptions, train

OPTIONS = TrainingOptions(size="tiny", steps=12, batch=4, length=64, every=6, warmup=2, learning_rate=1e-2)


def write_song(path: Path, seed: int, *, bars: int = 8, metre: tuple[int, int] = (4, 4)) -> None:
    rng = np.random.default_rng(seed)
    midi = mido.MidiFile(type=1, ticks_per_beat=480)
    midi.tracks.append(mido.MidiTrack([mido.MetaMessage("time_signature", numerator=metre[0], denominator=metre[1])]))
    for channel, program, low in ((0, 0, 60), (1, 33, 40), (9, 0, 36)):
        track = mido.MidiTrack([mido.Message("program_change", channel=channel, program=program)])
        for _ in range(bars * 8):
            pitch = int(low + rng.integers(0, 8))
            track.append(mido.Message("note_on", channel=channel, note=pitch, velocity=80))
            track.append(mido.Message("note_off", channel=channel, note=pitch, time=240))
        midi.tracks.append(track)
    path.parent.mkdir(parents=True, exist_ok=True)
    midi.save(path)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    folder = tmp_path_factory.mktemp("music")
    for seed in range(12):
        write_song(folder / f"song{seed}.mid", seed)
    return read_corpus([folder], held_out=0.25)


def test_a_corpus_names_what_it_leaves_out(tmp_path: Path) -> None:
    write_song(tmp_path / "a" / "good.mid", 0)
    write_song(tmp_path / "b" / "waltz.MID", 1, metre=(3, 4))
    write_song(tmp_path / "b" / "short.midi", 2, bars=2)
    (tmp_path / "b" / "broken.mid").write_bytes(b"MThd....")
    (tmp_path / "notes.txt").write_text("not music")
    corpus = read_corpus([tmp_path], held_out=1e-9)
    assert [piece.name for piece in corpus.training] == ["good.mid"]
    assert corpus.skipped == {"not in 4/4 throughout": 1, "too short": 1, "unreadable or empty": 1}


def test_arrangements_of_a_song_stay_together(tmp_path: Path) -> None:
    lines = ["path,song"]
    for number in range(40):
        write_song(tmp_path / f"{number}.mid", number % 3)
        lines.append(f"{number}.mid,song{number % 10}")
    (tmp_path / "manifest.csv").write_text("\n".join(lines))
    corpus = read_corpus([tmp_path], held_out=0.5)
    kept, held = ({piece.group for piece in side} for side in (corpus.training, corpus.held_out))
    assert kept
    assert held
    assert not kept & held
    again = read_corpus([tmp_path], held_out=0.5)
    assert [piece.name for piece in again.held_out] == [piece.name for piece in corpus.held_out]


def test_folders_without_music_are_refused(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none"):
        with pytest.raises(InputError):
            read_corpus([path])


def test_crops_are_whole_words_with_true_counts(corpus: Corpus) -> None:
    sampler = Sampler(corpus.training, batch=16, length=96, period=4096, seed=0)
    batch = sampler.draw()
    for rows, initial, mask in zip(batch.rows.numpy(), batch.initial.numpy(), batch.mask.numpy(), strict=True):
        words = rows[mask > 0]
        assert words[0, Column.BEAT] == BAR
        assert (words[0, Column.POSITION] % 16) == 0
        ended = words[:, Column.TYPE] == Type.EOS
        assert ended.sum() <= 1
        assert not ended[:-1].any()
        notes = decode(words)
        assert set(notes[:, Grid.INSTRUMENT]) <= set(initial[:, 2]) | {0}
        assert ((words[:, Column.TIMING] >= 1) & (words[:, Column.TIMING] <= 101)).all()


def test_transposing_leaves_drums_alone(corpus: Corpus) -> None:
    sampler = Sampler(corpus.training, batch=32, length=96, period=4096, seed=1)
    notes = np.concatenate([decode(rows) for rows in sampler.draw().rows.numpy()])
    drums = notes[notes[:, Grid.INSTRUMENT] == Instrument.DRUMS, Grid.PITCH]
    bass = notes[notes[:, Grid.INSTRUMENT] == Instrument.BASS, Grid.PITCH]
    assert set(drums) <= set(range(36, 44))
    assert bass.min() < 40
    assert bass.max() > 47


def test_batches_are_seeded(corpus: Corpus) -> None:
    first, second, other = (
        Sampler(corpus.training, batch=4, length=64, period=4096, seed=seed).draw().rows for seed in (0, 0, 1)
    )
    assert torch.equal(first, second)
    assert not torch.equal(first, other)


def test_the_end_of_a_piece_is_a_word(corpus: Corpus) -> None:
    piece = corpus.training[0]
    (batch,) = evaluation_batches([piece], batch=2, length=600, count=1)
    ended = [
        bool(rows[mask > 0][-1, Column.TYPE] == Type.EOS) for rows, mask in zip(batch.rows, batch.mask, strict=True)
    ]
    assert ended == [True, True]


def test_training_learns_and_leaves_a_checkpoint(corpus: Corpus, tmp_path: Path) -> None:
    best = train(corpus, tmp_path / "run", OPTIONS, tell=lambda _: None)
    assert best is not None
    lines = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [6, 12]
    assert lines[1]["held_out"] < lines[0]["held_out"]
    assert best.name == f"loss_{lines[1]['held_out']:.4f}.safetensors"
    assert load_network(best).config.width == 32


def test_a_stopped_training_goes_on_as_if_it_had_not(corpus: Corpus, tmp_path: Path) -> None:
    said: list[str] = []
    train(corpus, tmp_path / "whole", OPTIONS, tell=said.append)

    def stop_after_six(message: str) -> None:
        if message.startswith("step 12"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(corpus, tmp_path / "cut", OPTIONS, tell=stop_after_six)
    resumed = train(corpus, tmp_path / "cut", OPTIONS, tell=said.append)
    assert "resuming at step 6" in said
    losses = [
        json.loads((tmp_path / name / "log.jsonl").read_text().splitlines()[-1])["held_out"]
        for name in ("whole", "cut")
    ]
    assert losses[0] == losses[1]
    assert resumed is not None
    with pytest.raises(UsageError, match="other options"):
        train(corpus, tmp_path / "cut", TrainingOptions(size="tiny", batch=2), tell=said.append)
    (tmp_path / "cut" / "resume.pt").write_bytes(b"damaged")
    with pytest.raises(CheckpointError):
        train(corpus, tmp_path / "cut", OPTIONS, tell=said.append)


def test_the_command_line_trains_and_imports(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run: Callable[..., tuple[int, str, str]]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CMT_BRIDGE_MODELS", str(tmp_path / "mine"))
    for seed in range(6):
        write_song(tmp_path / "music" / f"{seed}.mid", seed)
    small = ("--size", "tiny", "--steps", 4, "--every", 2, "-b", 2, "--length", 32, "--held-out", 0.3)
    code, out, _ = run("train", "--data", "music", "-n", "first", *small)
    assert code == 0
    checkpoint = Path(out.strip().splitlines()[-1])
    assert checkpoint.parent == Path("exp/first")
    code, out, _ = run("models", "import", checkpoint, "--name", "first", "--licence", "CC0-1.0", "--json")
    assert code == 0
    assert json.loads(out)["name"] == "first"
    code, out, _ = run("models", "list", "--json")
    entry = next(model for model in json.loads(out) if model["name"] == "first")
    assert entry["licence"] == "CC0-1.0"
    assert entry["record"]["step"] == 4
    assert run("models", "import", checkpoint, "--name", "first")[0] == 5
    assert run("train", "--data", "music", "-n", "debug", *small)[0] == 0
    assert not Path("exp/debug").exists()
    assert run("train", "--data", "nowhere", "-n", "x")[0] == 3
    assert run("train", "--data", "music", "-n", "../x")[0] == 2


def test_many_files_are_read_in_order_by_other_processes(tmp_path: Path) -> None:
    for number in range(FEW_FILES):
        write_song(tmp_path / f"{number:03}.mid", number % 5, bars=4)
    (tmp_path / "100.mid").write_bytes(b"broken")
    corpus = read_corpus([tmp_path], held_out=1e-9)
    names = [f"{number:03}.mid" for number in range(FEW_FILES) if number != 100]
    assert [piece.name for piece in corpus.training] == names
    assert corpus.skipped == {"unreadable or empty": 1}
