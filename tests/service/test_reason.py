from __future__ import annotations

from pathlib import Path

from cmt_bridge.service.reason import reason_file, take_back, tell


def test_a_note_says_why_and_goes_again(tmp_path: Path) -> None:
    clip = tmp_path / "Ünïcode clip.mp4"
    assert tell(clip, "It holds no picture.")
    note = reason_file(clip)
    assert note.name == "Ünïcode clip.mp4 was not scored.txt"
    assert note.read_text("utf-8").split("\n\n")[:2] == [
        "This clip was not scored: Ünïcode clip.mp4",
        "It holds no picture.",
    ]
    assert "when the file changes" in note.read_text("utf-8")
    take_back(clip)
    take_back(clip)
    assert list(tmp_path.iterdir()) == []


def test_a_note_is_written_when_it_is_news(tmp_path: Path) -> None:
    clip = tmp_path / "clip.mp4"
    assert tell(clip, "The model is missing.", waits=True)
    written = reason_file(clip).stat().st_mtime_ns
    assert not tell(clip, "The model is missing.", waits=True)
    assert reason_file(clip).stat().st_mtime_ns == written
    assert "when that is in order" in reason_file(clip).read_text()
    assert tell(clip, "The model is damaged.", waits=True)
    assert "damaged" in reason_file(clip).read_text()
    assert [path.name for path in tmp_path.iterdir()] == ["clip.mp4 was not scored.txt"]


def test_what_somebody_wrote_is_left_alone(tmp_path: Path) -> None:
    clip = tmp_path / "clip.mp4"
    reason_file(clip).write_text("Scenes 3 and 4 are missing.")
    assert not tell(clip, "It holds no picture.")
    take_back(clip)
    assert reason_file(clip).read_text() == "Scenes 3 and 4 are missing."


def test_no_folder_is_made_for_a_note(tmp_path: Path) -> None:
    assert not tell(tmp_path / "gone" / "clip.mp4", "It holds no picture.")
    assert list(tmp_path.iterdir()) == []


def test_a_long_name_is_cut(tmp_path: Path) -> None:
    for letter in "n日":
        clip = tmp_path / f"{letter * (250 // len(letter.encode()))}.mp4"
        assert tell(clip, "It holds no picture.")
        assert clip.name in reason_file(clip).read_text("utf-8")
        other = clip.with_name(clip.name.replace(".mp4", "x.mp4"))
        assert reason_file(other) != reason_file(clip)
        take_back(clip)
    assert list(tmp_path.iterdir()) == []


def test_a_note_that_cannot_be_written_is_no_error(tmp_path: Path) -> None:
    clip = tmp_path / "clip.mp4"
    reason_file(clip).symlink_to(reason_file(clip).name)
    tell(clip, "It holds no picture.")
    take_back(clip)
