"""`cmt-bridge analyze`: measure a video."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cmt_bridge.cli.common import clock, json_option, print_json, progress, talk
from cmt_bridge.cli.settings import setting_options, settings_of

if TYPE_CHECKING:
    from cmt_bridge.core.metadata import VideoMetadata

__all__ = ["analyze"]

PLOT_FORMATS = (".png", ".svg", ".pdf", ".jpg", ".jpeg", ".webp")


@click.command(short_help="Only measure a video: tempo, beats, cuts, motion.")
@click.argument("video", type=click.Path(path_type=Path))
@click.option("-o", "--output", type=click.Path(path_type=Path), help="File to write instead of NAME.metadata.json.")
@click.option("--plot", type=click.Path(path_type=Path), help="Also draw what was found, as .png, .svg or .pdf.")
@click.option("--force", is_flag=True, help="Replace the files given by -o and --plot where they exist.")
@setting_options("score", ("tempo", "tempo_range", "cut_sensitivity"))
@json_option
def analyze(video: Path, output: Path | None, plot: Path | None, force: bool, as_json: bool, **given: Any) -> None:
    """Measure VIDEO: tempo, visual beats, cuts, and motion per bar, as metadata.json.

    The picture is measured once and remembered by its content; other options then take no time. Nothing of yours is
    overwritten: where NAME.metadata.json exists here, "NAME.metadata (2).json" is written, and where a file named by
    -o or --plot exists the command stops, unless --force is given. With --json the metadata goes to stdout, and to a
    file only with -o.

    \b
    Examples:
      cmt-bridge analyze clip.mp4
      cmt-bridge analyze clip.mp4 --tempo-range 80 120 --cut-sensitivity 0.7
      cmt-bridge analyze clip.mp4 -o metadata.json --plot clip.png
    """
    from cmt_bridge.core.files import complete_path, new_file, numbered, short
    from cmt_bridge.settings import analysis_options

    options = analysis_options(settings_of(given))
    _check_targets(video, output, plot, force)

    from cmt_bridge.outputs.scorefile import write_json
    from cmt_bridge.scoring.score import doubts
    from cmt_bridge.video.analysis import analyze as analyze_measurement
    from cmt_bridge.video.cache import measured

    with progress("Measuring") as done:
        measurement = measured(video, done)
    metadata = analyze_measurement(measurement, options)
    for doubt in doubts(video, metadata, measurement.damage):
        talk(doubt)

    if plot is not None:
        from cmt_bridge.video.figure import draw

        with complete_path(plot) as temporary:
            draw(measurement, metadata, temporary)
    target = output
    if output is not None:
        write_json(metadata.to_json(), output)
    elif not as_json:
        names = numbered(Path(f"{short(video.stem)}.metadata.json"))
        target = new_file(names, lambda new: write_json(metadata.to_json(), new))
    talk(_summary(metadata))
    if as_json:
        print_json(metadata.to_json())
    elif target is not None:
        click.echo(click.format_filename(target))
    if plot is not None:
        click.echo(click.format_filename(plot), err=as_json)


def _check_targets(video: Path, output: Path | None, plot: Path | None, force: bool) -> None:
    """Stop before the long work where a result could not be written."""
    from cmt_bridge.errors import OutputError, UsageError

    if plot is not None and plot.suffix.lower() not in PLOT_FORMATS:
        raise UsageError(f"A figure cannot be drawn as {plot.name}.", hint=f"Choose from {', '.join(PLOT_FORMATS)}.")
    if plot is not None and output is not None and plot.absolute() == output.absolute():
        raise UsageError("-o and --plot name the same file.", hint="Give two names.")
    for target in filter(None, (output, plot)):
        if target.is_dir():
            raise OutputError(f"{target} is a folder.", hint="Name a file.")
        if not target.exists():
            continue
        if video.exists() and target.samefile(video):
            raise OutputError(f"{target} is the video itself.", hint="Name another file.")
        if not force:
            raise OutputError(f"{target} exists already.", hint="Name another file, or replace it with --force.")


def _summary(metadata: VideoMetadata) -> str:
    source = metadata.source
    rate = source.frame_rate[0] / source.frame_rate[1]
    return (
        f"{source.name}: {clock(metadata.duration)}, {source.width}×{source.height}, {rate:.5g} frames per second; "
        f"{metadata.tempo:.4g} BPM ({metadata.tempo_source}), {_count(len(metadata.flow_per_bar), 'bar')}, "
        f"{_count(len(metadata.beats), 'visual beat')}, {_count(len(metadata.cuts), 'cut')}"
        f"{_slowly(metadata)}"
    )


def _slowly(metadata: VideoMetadata) -> str:
    """Give the transitions that take their time, for a sentence."""
    said = [f"{each.kind} {clock(each.begin)} to {clock(each.end)}" for each in metadata.transitions]
    return f", {_count(len(said), 'transition')} ({'; '.join(said)})" if said else ""


def _count(number: int, thing: str) -> str:
    return f"{number} {thing}{'' if number == 1 else 's'}"
