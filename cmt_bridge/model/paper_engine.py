"""The network laid out for decoding: the same numbers as `PaperNetwork.step`, with less to read and fewer calls.

What depends on a class alone is computed once: the embedding tables are multiplied through the input linear, so that
a word enters as a sum of table rows. Queries, keys and values share one matrix, and so do the six heads. A token then
costs about one pass over the weights, which is what bounds it: float32 reads 4 bytes per weight, bfloat16 2, int8 1.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from typing import Literal, cast, get_args

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from cmt_bridge.core.tokens import CLASSES, SAMPLED, Column
from cmt_bridge.errors import UsageError
from cmt_bridge.model.paper_network import ATTENTION_EPS, PaperNetwork, State, feature_map
from cmt_bridge.model.rows import Product, in_blocks, padded

__all__ = ["PaperEngine", "Precision", "linear"]

Precision = Literal["float32", "bfloat16", "int8"]
STEPS = 63
"""Steps of int8 from 0 to a row's greatest value: seven bits, so that processors without VNNI do not saturate."""


def linear(weight: Tensor, bias: Tensor, precision: Precision) -> Product:
    """Return the function x (B, in) -> x @ weight.T + bias (B, out) in a precision; float32 in and out."""
    if precision == "int8":
        return _int8_linear(weight, bias)
    if precision == "bfloat16":
        low_weight, low_bias = weight.bfloat16().contiguous(), bias.bfloat16()
        return lambda x: F.linear(x.bfloat16(), low_weight, low_bias).float()
    return _packed_linear(weight.contiguous(), bias.contiguous())


def _packed_linear(weight: Tensor, bias: Tensor) -> Product:
    """Lay a float32 matrix out as oneDNN reads it fastest, where torch has it; else transposed.

    Packed, five rows cost what one does; for a plain product they cost more than twice that.
    """
    try:
        packed = torch.ops.mkldnn._reorder_linear_weight(weight)
        packed_product: Product = lambda x: torch.ops.mkldnn._linear_pointwise(x, packed, bias, "none", [], "")  # noqa: E731
        packed_product(weight.new_zeros(1, weight.shape[1]))
    except (RuntimeError, AttributeError):  # a build without oneDNN
        transposed = weight.T.contiguous()
        return lambda x: torch.addmm(bias, x, transposed)
    return packed_product


def _int8_linear(weight: Tensor, bias: Tensor) -> Product:
    """Quantize weights to int8 per output row, and each row of activations at each call by its own greatest value.

    Sums of whole numbers are exact, so a row of the result depends on nothing else.
    """
    scale = weight.abs().amax(1).clamp_min(1e-8) / 127
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        quantized = torch.quantize_per_channel(
            weight, scale.double(), torch.zeros(len(weight), dtype=torch.long), 0, torch.qint8
        )
        packed = torch.ops.quantized.linear_prepack(quantized, None)
    whole = torch.ops.quantized.linear_with_input_q_dq_qweight_dq_output_fp32

    def product(x: Tensor) -> Tensor:
        top = x.abs().amax(1, keepdim=True).clamp_min(1e-30)
        return whole(x / top, 1 / STEPS, STEPS + 1, packed) * top + bias  # type: ignore[no-any-return]

    return product


class PaperEngine:
    """Decode with a network: `enter` words, `step`, read `type_logits` and `logits`. Inference only.

    Raises `UsageError` where the machine has no int8 kernels.
    """

    def __init__(self, network: PaperNetwork, precision: Precision = "float32") -> None:
        if precision not in get_args(Precision):
            raise UsageError(f"There is no precision {precision}.", hint=f"Choose {', '.join(get_args(Precision))}.")
        self.network = network.eval()
        self.precision = precision
        config = network.config
        with torch.inference_mode():
            try:
                self._lay_out(network, precision)
            except RuntimeError as error:
                raise UsageError(
                    f"This machine cannot decode in {precision}: {error}", hint="Use --precision float32."
                ) from error
        self.heads = config.heads
        self.weights = sum(p.numel() for p in network.layers.parameters())
        """Number of weights read for every token."""

    def _lay_out(self, network: PaperNetwork, precision: Precision) -> None:
        config, embed_in = network.config, network.embed_in
        offset = 0
        self._tables: list[Tensor] = []
        for table in network.tables:
            width = table.embedding_dim
            columns = embed_in.weight[:, offset : offset + width]
            self._tables.append(table.weight * math.sqrt(width) @ columns.T)
            offset += width
        timing = network.timing.weight * math.sqrt(config.timing_embedding)
        self._tables.append(timing @ network.timing_in.weight.T + network.timing_in.bias + embed_in.bias)
        self._layers = []
        for layer in network.blocks:
            qkv = (layer.query, layer.key, layer.value)
            self._layers.append(
                (
                    linear(torch.cat([p.weight for p in qkv]), torch.cat([p.bias for p in qkv]), precision),
                    linear(layer.out.weight, layer.out.bias, precision),
                    linear(layer.expand.weight, layer.expand.bias, precision),
                    linear(layer.contract.weight, layer.contract.bias, precision),
                    layer.norm1,
                    layer.norm2,
                )
            )
        join, width = network.join_type, config.width
        kinds = network.tables[Column.TYPE].weight * math.sqrt(config.embeddings[Column.TYPE])
        outputs = [cast(nn.Linear, head) for head in network.heads]
        heads = torch.cat([head.weight for head in outputs])
        self._head_tables = (kinds @ join.weight[:, width:].T + join.bias) @ heads.T
        self._head_tables += torch.cat([head.bias for head in outputs])
        self._heads = linear(heads @ join.weight[:, :width], torch.zeros(len(heads)), "float32")
        sizes = [CLASSES[column] for column in SAMPLED]
        ends = np.cumsum(sizes).tolist()
        self._slices = {c: slice(end - size, end) for c, end, size in zip(SAMPLED, ends, sizes, strict=True)}

    def state(self, batch: int = 1) -> State:
        """Return the state before the first token."""
        return self.network.state(batch)

    @torch.inference_mode()
    def prime(self, initial: npt.NDArray[np.int64], state: State) -> Tensor:
        """Take in initial tokens (n, 3), the same for every song of the batch; return the hidden state (B, W)."""
        embedded = self.network.embed_initial(torch.from_numpy(initial))
        hidden = embedded
        for x in embedded:
            hidden = self._advance(x.expand(state.norm.shape[1], -1), state, None)
        return hidden

    @torch.inference_mode()
    def step(self, words: npt.NDArray[np.int64], state: State, rows: Sequence[int] | None = None) -> Tensor:
        """Take in one word (B, 9) per song; return the hidden state (B, W). `state` moves on in place.

        `rows` are those of the songs in products (`rows_of`), in order where none are named.
        """
        tokens = torch.from_numpy(words)
        x = self.network.positions(tokens[:, Column.POSITION])
        for column, table in enumerate(self._tables):
            x = x + table[tokens[:, column]]
        return self._advance(x, state, rows)

    def _advance(self, x: Tensor, state: State, rows: Sequence[int] | None) -> Tensor:
        where = torch.tensor(range(len(x)) if rows is None else rows, dtype=torch.long)
        x = padded(x, where)
        for layer, memory, norm in zip(self._layers, state.memory, state.norm, strict=True):
            qkv, out, expand, contract, norm1, norm2 = layer
            q, k, v = in_blocks(qkv, x).reshape(len(x), 3, self.heads, -1).unbind(1)  # (rows, H, D) each
            q, k, v = feature_map(q)[where], feature_map(k)[where], v[where]
            memory.addcmul_(k.unsqueeze(-1), v.unsqueeze(-2))
            norm += k
            # A product for each song, so that none depends on how many there are.
            attended = [
                torch.bmm(query, each) / (torch.bmm(query, weight.unsqueeze(-1)) + ATTENTION_EPS)
                for query, each, weight in zip(q.unsqueeze(-2).unbind(), memory.unbind(), norm.unbind(), strict=True)
            ]
            heard = padded(torch.stack(attended).flatten(1), where)
            x = norm1(x + in_blocks(out, heard))
            x = norm2(x + in_blocks(contract, F.gelu(in_blocks(expand, x))))
        return self.network.norm(x)[where]  # type: ignore[no-any-return]

    @torch.inference_mode()
    def type_logits(self, hidden: Tensor) -> npt.NDArray[np.float32]:
        """Return the logits (B, 3) of the type column."""
        return self.network.type_logits(hidden).numpy()

    @torch.inference_mode()
    def logits(
        self, hidden: Tensor, types: npt.NDArray[np.int64], rows: Sequence[int] | None = None
    ) -> dict[Column, npt.NDArray[np.float32]]:
        """Return the logits (B, classes) of the other columns, given the types (B) of the words; `rows` as in
        `step`.
        """
        where = torch.tensor(range(len(hidden)) if rows is None else rows, dtype=torch.long)
        heads = in_blocks(self._heads, padded(hidden, where))[where]
        together = (heads + self._head_tables[torch.from_numpy(types)]).numpy()
        return {column: together[:, part] for column, part in self._slices.items()}
