"""What cannot be used is refused in one line, with the exit code of the documentation, and nothing is left behind."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest

from tests import clips
from tests.conftest import SHARED
from tests.e2e.conftest import PROGRAM, Run, check_refusal, write_metadata

pytestmark = pytest.mark.slow

Make = Callable[[Path], object]


def _random(path: Path) -> None:
    path.write_bytes(np.random.default_rng(0).bytes(65536))


def _without_end(path: Path) -> None:
    whole = clips.write_clip(path, clips.panning(1, 25, speed=20)).read_bytes()
    path.write_bytes(whole[: whole.index(b"moov") - 4])


def _picture(path: Path) -> None:
    with av.open(str(path), "w", format="image2") as file:
        stream = file.add_stream("mjpeg", rate=1)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuvj420p"
        frame = av.VideoFrame.from_ndarray(np.zeros((48, 64, 3), np.uint8), format="rgb24")
        file.mux(stream.encode(frame))
        file.mux(stream.encode(None))


def _loop(path: Path) -> None:
    path.symlink_to(path.name)  # cannot be read, not even by root


def _forbidden(path: Path) -> None:
    path.write_bytes(b"x")
    path.chmod(0)
    if os.access(path, os.R_OK):
        pytest.skip("this user reads everything")


def _overwritten_head(path: Path) -> None:
    data = bytearray(clips.write_clip(path, clips.panning(1, 25, speed=20)).read_bytes())
    data[4:600] = bytes(596)
    data[-600:] = bytes(600)
    path.write_bytes(data)


BROKEN: dict[str, tuple[str, Make]] = {
    "empty": ("clip.mp4", lambda path: path.write_bytes(b"")),
    "text": ("clip.mp4", lambda path: path.write_text("This is no film.\n" * 100)),
    "random bytes": ("clip.mp4", _random),
    "without its index": ("clip.mp4", _without_end),
    "head overwritten": ("clip.mp4", _overwritten_head),
    "only sound": ("clip.mp4", clips.write_sound),
    "a JPEG renamed": ("clip.mp4", _picture),
    "one frame": ("clip.mp4", lambda path: clips.write_clip(path, [clips.noise(1)])),
    "missing": ("clip.mp4", lambda _: None),
    "a folder": ("clip.mp4", lambda path: path.mkdir()),
    "a pipe": ("clip.mp4", lambda path: os.mkfifo(path)),
    "a link to itself": ("clip.mp4", _loop),
    "not to be read": ("clip.mp4", _forbidden),
    "a playlist": ("clip.m3u8", lambda path: path.write_text("#EXTM3U\n#EXTINF:1,\nhttp://127.0.0.1:9/a.ts\n")),
    "no JSON": ("clip.json", lambda path: path.write_text("{")),
    "other JSON": ("clip.json", lambda path: path.write_text('{"a": [1, 2]}')),
    "a JSON list": ("clip.json", lambda path: path.write_text("[]")),
    "no array file": ("clip.npz", _random),
    "a name in odd bytes": ("\udcff\n.mp4", lambda path: path.write_bytes(b"x")),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_file_is_refused(run: Run, folder: Path, tmp_path: Path, model: Path, kind: str) -> None:
    name, make = BROKEN[kind]
    path = tmp_path / name
    make(path)
    check_refusal(run("score", path, "--model", model), 3)
    if path.suffix not in (".json", ".npz"):
        check_refusal(run("analyze", path), 3)
    assert list(folder.iterdir()) == []


IMPOSSIBLE = {
    "tempo 0": {"tempo": 0.0},
    "no tempo": {"tempo": float("nan")},
    "endless": {"duration": float("inf")},
    "no duration": {"duration": float("nan")},
    "before its start": {"duration": -1.0},
    "nothing": {"duration": 0.0},
    "years": {"duration": 1e9},
    "no speed": {"flow_magnitude_per_bar": [float("nan")]},
    "a beat nowhere": {"vbeats": [{"start_time": float("nan"), "bar": 0, "tick": 0, "weight": 0.5}]},
    "text for a tempo": {"tempo": "fast"},
    "a newer version": {"version": 99},
}


@pytest.mark.parametrize("kind", IMPOSSIBLE)
def test_impossible_metadata_is_refused(run: Run, folder: Path, tmp_path: Path, model: Path, kind: str) -> None:
    import json

    path = write_metadata(tmp_path / "metadata.json", 4.0)
    path.write_text(json.dumps(json.loads(path.read_text()) | IMPOSSIBLE[kind]))
    check_refusal(run("score", path, "--model", model), 3)
    assert list(folder.iterdir()) == []


REFUSED = {
    "zero_length", "text", "random_bytes", "corrupt_header", "truncated_no_moov", "audio_only", "jpeg_renamed",
    "one_frame",
}  # fmt: skip


BROKEN_CLIPS = tuple(
    sorted(path.name for path in (SHARED / "videos" / "bad").glob("*") if path.suffix != ".md") or ["none"]
)


@pytest.mark.parametrize("name", BROKEN_CLIPS)
def test_the_broken_clips_of_the_reference_material(
    run: Run, folder: Path, shared: Path, model: Path, name: str
) -> None:
    path = shared / "videos" / "bad" / name
    done = run("score", path, "--model", model, "-o", path.stem)
    if path.stem in REFUSED:
        check_refusal(done, 3)
        assert not (folder / path.stem).exists()
    else:
        assert done.returncode == 0, f"{path.name}: {done.stderr}"
        assert len(list((folder / path.stem).iterdir())) == 3


OPTIONS = (
    "--tempo 0", "--tempo nan", "--tempo inf", "--tempo -5", "--tempo fast", "--tempo-range 100 50",
    "--tempo-range nan nan", "--cut-sensitivity 2", "--cut-sensitivity nan", "--control 2", "--control nan",
    "--control -0.1", "--control 1-2", "--control 2-1:0.5", "--control 0:1", "--control 1:7", "--density-control x",
    "--beat-control 1:1.2.3", "--instruments kazoo", "--instruments ,", "--instruments piano,piano", "--model nowhere",
    "-n 0", "-n 65", "-n x", "--seed -1", "--seed 99999999999999999999", "--seed x", "--temperature 0",
    "--temperature nan", "--temperature pitch=hot", "--temperature loudness=1", "--nucleus 0", "--nucleus 1.1",
    "--polyphony piano=0", "--polyphony piano=1.5", "--pitches bass=50-28", "--pitches bass=x", "--pitches bass=1-200",
    "--precision float8", "--nonsense", "extra",
)  # fmt: skip


@pytest.mark.parametrize("options", OPTIONS)
def test_a_bad_option_is_refused(run: Run, folder: Path, metadata: Path, options: str, model: Path) -> None:
    given = [] if "--model" in options else ["--model", str(model)]
    check_refusal(run("score", metadata, *given, *options.split(" ")), 2)
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize(
    ("code", "arguments"),
    [
        (2, ("dance",)),
        (2, ("score",)),
        (2, ("models", "burn")),
        (2, ("train", "--data", ".", "-n", "../up")),
        (3, ("train", "--data", ".", "-n", "debug")),
        (3, ("preview", "nothing")),
        (3, ("match", "nothing.mp4", "nothing.mid")),
        (3, ("convert", "nothing.mid", "a.npz")),
    ],
)
def test_a_bad_command_is_refused(run: Run, folder: Path, code: int, arguments: tuple[str, ...]) -> None:
    check_refusal(run(*arguments), code)
    assert list(folder.iterdir()) == []


class _Payload:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[..., object], tuple[str]]:
        return os.mkdir, (str(self.path),)


def test_a_wrong_checkpoint_is_refused(
    run: Run, folder: Path, tmp_path: Path, model: Path, environment: dict[str, str]
) -> None:
    import torch

    (tmp_path / "text.pt").write_text("not weights")
    (tmp_path / "cut.safetensors").write_bytes(model.read_bytes()[:5000])
    torch.save({"layer.weight": torch.zeros(3, 3)}, tmp_path / "other.pt")
    torch.save([1, 2, 3], tmp_path / "list.pt")
    torch.save({"module.proj_type.weight": torch.zeros(3, 3)}, tmp_path / "part.pt")
    torch.save({"x": _Payload(tmp_path / "executed")}, tmp_path / "payload.pt")
    for name in ("text.pt", "cut.safetensors", "other.pt", "list.pt", "part.pt", "payload.pt", "missing.pt"):
        check_refusal(run("models", "import", tmp_path / name), 3)
    assert not (tmp_path / "executed").exists()
    check_refusal(run("models", "import", model, "--name", "../up"), 2)
    for name in ("text.pt", "cut.safetensors"):
        check_refusal(run("score", write_metadata(tmp_path / "metadata.json", 4), "--model", tmp_path / name), 3)
    assert list(folder.iterdir()) == []
    assert not Path(environment["CMT_BRIDGE_MODELS"]).exists()


def test_an_imported_model_composes(run: Run, folder: Path, model: Path, metadata: Path, tmp_path: Path) -> None:
    mine = {"CMT_BRIDGE_MODELS": str(tmp_path / "models")}
    assert run("models", "import", model, "--name", "mine", env=mine).returncode == 0
    check_refusal(run("models", "import", model, "--name", "mine", env=mine), 5)
    assert "mine" in run("models", "list", env=mine).stdout
    assert run("score", metadata, "--model", "mine", "-o", "music", env=mine).returncode == 0
    (tmp_path / "models" / "mine.safetensors").write_bytes(b"changed")
    check_refusal(run("score", metadata, "--model", "mine", env=mine), 3)
    (tmp_path / "models" / "mine.safetensors").unlink()
    check_refusal(run("score", metadata, "--model", "mine", env=mine), 3)
    (tmp_path / "models" / "manifest.toml").write_text("[[model")
    check_refusal(run("score", metadata, "--model", "mine", env=mine), 3)
    assert [path.name for path in folder.iterdir()] == ["music"]


def test_a_limit_on_file_size_is_a_clean_end(run: Run, folder: Path, metadata: Path, model: Path) -> None:
    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))

    check_refusal(run("score", metadata, "--model", model, "-o", "a/b/music", before=limit), 5)
    assert list(folder.iterdir()) == []


def test_a_full_disk_is_a_clean_end(
    folder: Path, metadata: Path, model: Path, clip: Path, environment: dict[str, str]
) -> None:
    if os.geteuid() or not shutil.which("unshare"):
        pytest.skip("mounting a small disk needs root")
    mount = 'mount -t tmpfs -o size=8k tmpfs "$1" || exit 99; cd "$1"; shift; "$@"; code=$?; ls -A; exit $code'
    shell = ["unshare", "--mount", "sh", "-c", mount, "sh", str(folder)]
    for arguments in (
        ["score", str(metadata), "--model", str(model), "-o", "music"],
        ["score", str(clip), "--model", str(model), "--json", "-o", "music"],
        ["analyze", str(clip), "--plot", "plot.png"],
        ["models", "import", str(model)],
    ):
        env = environment | ({"CMT_BRIDGE_MODELS": str(folder)} if arguments[0] == "models" else {})
        done = subprocess.run(
            [*shell, *PROGRAM, *arguments], env=env, capture_output=True, text=True, timeout=300, check=False
        )
        if done.returncode in (1, 99) and "mount" in done.stderr:
            pytest.skip("no small disk can be mounted here")
        check_refusal(done, 5)


@pytest.mark.parametrize("output", [".", "..", "a/..", "/", ""])
def test_a_folder_without_a_name_is_refused(run: Run, folder: Path, metadata: Path, model: Path, output: str) -> None:
    check_refusal(run("score", metadata, "--model", model, "-o", output), 2)
    assert list(folder.iterdir()) == []


def test_a_folder_that_cannot_be_written(run: Run, folder: Path, metadata: Path, model: Path, clip: Path) -> None:
    (folder / "file").write_text("mine")
    check_refusal(run("score", metadata, "--model", model, "-o", "file/music"), 5)
    check_refusal(run("score", metadata, "--model", model, "-o", "/proc/music"), 5)
    check_refusal(run("analyze", clip, "-o", "file/clip.json"), 5)
    check_refusal(run("analyze", clip, "-o", "file"), 5)
    assert (folder / "file").read_text() == "mine"
    assert [path.name for path in folder.iterdir()] == ["file"]
