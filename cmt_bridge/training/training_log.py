"""The journal of a training: what was said, log lines, TensorBoard events and the plot of the losses."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from cmt_bridge.core.files import complete_path

__all__ = ["LINES", "PLOT", "TALK", "TrainingLog", "draw_losses", "read_lines"]

TALK, LINES, PLOT = "train.log", "log.jsonl", "loss.png"

INK: Final = "#22303c"
GRID: Final = "#e4e8eb"
LEARNED: Final = "#7fb2d9"
HELD_OUT: Final = "#0b5394"


class TrainingLog:
    """Write what happens in a training to `folder`, or only tell it where there is none.

    A training that goes on from `step` drops the log lines after it: they will be written anew.
    """

    def __init__(self, folder: Path | None, tell: Callable[[str], None], *, step: int = 0) -> None:
        self.folder = folder
        self._tell = tell
        self._lines: list[dict[str, Any]] = []
        self._events: Any = None
        if folder is None:
            return
        folder.mkdir(parents=True, exist_ok=True)
        self._lines = [line for line in read_lines(folder / LINES) if line["step"] <= step]
        with complete_path(folder / LINES) as temporary:
            temporary.write_text("".join(json.dumps(line) + "\n" for line in self._lines), encoding="utf-8")
        if find_spec("tensorboard") is None:
            self.message("no TensorBoard, so no event files; for them: pip install 'cmt-bridge[train]'")
            return
        from torch.utils.tensorboard import SummaryWriter

        self._events = SummaryWriter(str(folder), purge_step=step + 1)

    def message(self, text: str) -> None:
        """Tell something, and note it."""
        self._tell(text)
        if self.folder is not None:
            with (self.folder / TALK).open("a", encoding="utf-8") as file:
                file.write(text + "\n")

    def log(self, line: Mapping[str, Any]) -> None:
        """Add a log line: `step` and the figures of that step."""
        if self.folder is None:
            return
        self._lines.append(dict(line))
        with (self.folder / LINES).open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        if self._events is not None:
            for name, value in line.items():
                if name != "step":
                    self._events.add_scalar(name.replace("held_out_", "held_out/"), value, line["step"])
            self._events.flush()

    def draw(self) -> None:
        """Draw the plot of the losses anew."""
        if self.folder is not None:
            draw_losses(self._lines, self.folder / PLOT)

    def close(self) -> None:
        """Finish the event files."""
        if self._events is not None:
            self._events.close()


def read_lines(path: Path) -> list[dict[str, Any]]:
    """Read the log lines of a training, up to one that is only half there."""
    lines: list[dict[str, Any]] = []
    if path.is_file():
        for text in path.read_text(encoding="utf-8", errors="replace").splitlines():
            try:
                line = json.loads(text)
            except ValueError:
                break
            if not isinstance(line, dict) or "step" not in line:
                break
            lines.append(line)
    return lines


def draw_losses(lines: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Plot training and held-out loss over the words seen; the suffix of `path` chooses the format."""
    logging.getLogger("matplotlib").setLevel(logging.ERROR)
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9.0, 5.0), dpi=120, facecolor="white", layout="constrained")
    axes = figure.subplots()
    curves = (
        ("loss", "training", LEARNED, {"linewidth": 1.2}),
        ("held_out", "held out", HELD_OUT, {"linewidth": 2.0, "marker": "o", "markersize": 3.5}),
    )
    for key, label, colour, look in curves:
        points = [(line["words"] / 1e6, line[key]) for line in lines if key in line]
        if points:
            axes.plot(*zip(*points, strict=True), color=colour, label=label, **look)
    measured = [line for line in lines if "held_out" in line]
    if measured:
        best = min(measured, key=lambda line: line["held_out"])
        label = f"best: {best['held_out']:.4f}, step {best['step']}"
        axes.axhline(best["held_out"], color=HELD_OUT, linewidth=0.8, linestyle=(0, (4, 3)), label=label)
    axes.set_xlabel("Words seen (millions)", color=INK)
    axes.set_ylabel("Loss (nats per word)", color=INK)
    axes.grid(color=GRID, linewidth=0.8)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    if axes.get_legend_handles_labels()[0]:
        axes.legend(frameon=False, labelcolor=INK)
    with complete_path(path) as temporary:
        figure.savefig(temporary)
