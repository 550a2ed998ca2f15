"""What a model knows and is, read from the head of its file: no tensor is read, and torch is not loaded."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path

from cmt_bridge.core.options import ComposeOptions
from cmt_bridge.core.paths import takes_paths
from cmt_bridge.errors import CheckpointError, UsageError

__all__ = ["Knowledge", "knowledge_of"]

COMPOSER = "composer"


@dataclass(frozen=True)
class Knowledge:
    """What a model knows: its kind of network, the styles that it can be told, whether keys, and its size."""

    network: str
    styles: tuple[str, ...]
    keys: bool
    parameters: int

    def check(self, options: ComposeOptions) -> None:
        """Raise `UsageError` where options ask for what the model does not know."""
        if options.style and options.style not in self.styles:
            known = f"It knows {', '.join(self.styles)}." if self.styles else "It knows none: leave out --style."
            raise UsageError(f"This model does not know the style {options.style}.", hint=known)
        if options.key and not self.keys:
            raise UsageError("This model knows no keys.", hint="Leave out --key, or use another --model.")


@takes_paths
def knowledge_of(path: Path) -> Knowledge:
    """Read what a model knows. Raises `CheckpointError` where the file is none of ours."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            config = json.loads(metadata["config"])
            shapes = [file.get_slice(name).get_shape() for name in file.keys()]  # noqa: SIM118
        network = str(metadata.get("network", "paper"))
        styles = tuple(map(str, config.get("styles", ())))
    except (OSError, SafetensorError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise CheckpointError(
            f"{path} is not a model of cmt-bridge: {error}.",
            hint="Convert a published checkpoint with `cmt-bridge models import FILE`.",
        ) from error
    return Knowledge(network, styles, network == COMPOSER, sum(math.prod(shape) for shape in shapes))
