import math

import numpy as np
import pytest
import torch

from cmt_bridge.composition.codec import Grid, encode
from cmt_bridge.core.instruments import Instrument
from cmt_bridge.model.event_decoder import EventEngine
from cmt_bridge.model.event_network import EventConfig, EventTransformer
from cmt_bridge.model.paper_network import PaperConfig, PaperNetwork
from cmt_bridge.training.dataset import Dataset
from cmt_bridge.training.likelihood import compose_middles, infilling, losses_per_word, middles_of, windows_of


@pytest.fixture(scope="module")
def composer() -> EventTransformer:
    torch.manual_seed(0)
    config = EventConfig(layers=1, heads=2, head_size=8, width=16, feed_forward=32, speech_width=16, window=900)
    return EventTransformer(config).eval()


def silenced(network: torch.nn.Module, *names: str) -> torch.nn.Module:
    """Let outputs know nothing, so that every class is as likely."""
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if any(part in name for part in names):
                parameter.zero_()
    return network


def test_windows_fit_the_papers_words(dataset: Dataset) -> None:
    windows = windows_of(dataset.held_out, words=200)
    assert len(windows) == 2 * len(dataset.held_out)
    for window in windows:
        assert len(encode(window.notes, window.bars)) < 200
        assert window.bars >= 2


def test_untrained_networks_have_the_expected_loss(dataset: Dataset, composer: EventTransformer) -> None:
    """A loss per word is the share of words that say an attribute, times the log of its classes."""
    windows = windows_of(dataset.held_out, words=200)[:3]
    words = sum(len(encode(w.notes, w.bars)) + w.ends for w in windows)
    notes = sum(len(w.notes) for w in windows)
    known = losses_per_word(silenced(composer, "speech.outputs"), windows)  # type: ignore[arg-type]
    assert known["pitch"] == pytest.approx(math.log(129) * notes / words, rel=1e-4)
    assert known["velocity"] == pytest.approx(math.log(17) * notes / words, rel=1e-4)
    bars = sum(w.bars for w in windows)
    assert known["density"] == pytest.approx(math.log(18) * bars / words, rel=1e-4)
    assert known["notes"] == pytest.approx(sum(known.values()) - known["velocity"] - known["notes"], rel=1e-6)
    paper = PaperNetwork(PaperConfig(layers=1, heads=1, width=16, feed_forward=16)).eval()
    said = losses_per_word(silenced(paper, "heads", "type_head"), windows)  # type: ignore[arg-type]
    assert said["pitch"] == pytest.approx(math.log(129), rel=1e-4)  # the paper's network says every attribute each time
    assert said["type"] == pytest.approx(math.log(3), rel=1e-4)


def test_middles_have_music_on_both_sides(dataset: Dataset) -> None:
    for stretch in middles_of(dataset.held_out, most=3):
        assert stretch.bars == 16
        assert len(np.unique(stretch.notes[:, Grid.ONSET] // 16)) == 16


def test_a_middle_composed_anew_leaves_the_rest(dataset: Dataset, composer: EventTransformer) -> None:
    stretch = middles_of(dataset.held_out, most=1)[0]
    engine = EventEngine(composer)
    for hears in (True, False):
        (notes,) = compose_middles(engine, stretch, [0], hears_after=hears)
        bar, old = notes[:, Grid.ONSET] // 16, stretch.notes[:, Grid.ONSET] // 16
        for side in ((0, 8), (12, 16)):
            kept = notes[(bar >= side[0]) & (bar < side[1])]
            assert (kept == stretch.notes[(old >= side[0]) & (old < side[1])]).all()
        middle = notes[(bar >= 8) & (bar < 12)]
        assert set(middle[:, Grid.INSTRUMENT]) <= {int(i) for i in Instrument}
        assert len(middle) > 0


def test_infilling_measures_the_same_bars(dataset: Dataset, composer: EventTransformer) -> None:
    """A network that knows nothing foresees every side equally well."""
    engine = EventEngine(silenced(composer, "speech.outputs"))  # type: ignore[arg-type]
    found = infilling(engine, middles_of(dataset.held_out, most=2))
    assert found.middle_both == pytest.approx(found.middle_left, rel=1e-4)
    assert found.after_both == pytest.approx(found.after_true, rel=1e-4)
    assert found.seam == pytest.approx(1, rel=1e-4)
    assert found.seam_of_one == pytest.approx(1, rel=1e-4)


def test_the_best_middle_leads_on_best(dataset: Dataset) -> None:
    torch.manual_seed(1)
    config = EventConfig(layers=1, heads=1, head_size=8, width=16, feed_forward=32, speech_width=16, window=900)
    found = infilling(EventEngine(EventTransformer(config).eval()), middles_of(dataset.held_out, most=1))
    assert found.after_best <= found.after_both
