"""Unpadded batches: the pieces of all texts one after another, so that no matrix product touches padding.

Everything in BERT but attention looks at one position at a time, so it needs no rectangle of texts by places:
embeddings, projections, norms and feed-forward run on (N, H), N pieces in all. Attention alone has to know where a text
ends.
Source: Zeng et al. 2022, "Boosting distributed training performance of the unpadded BERT model"; Zhai et al. 2023,
"ByteTransformer"; Portes et al. 2023, "MosaicBERT".

Shapes: B texts, N pieces in all of them, A attention heads, D = H / A.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from itertools import pairwise
from typing import Any, Self

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

# What attending to one more stack of texts costs, in weights: the square of a length.
STACK_COST = 4096

Attend = Callable[[Tensor, Tensor, Tensor, Tensor | None, float], tuple[Tensor, Tensor | None]]


@dataclass(frozen=True, eq=False)
class Packed:
    """A batch without padding.

    Attributes:
        input_ids: (N,) piece ids, the texts one after another.
        token_type_ids: (N,) segment of each piece.
        position_ids: (N,) place of each piece in its own text, from 0.
        offsets: (B + 1,) int32, where each text starts, and N.
        lengths: B numbers of pieces, on the processor.
        longest: the largest of them.

    Example:
        >>> batch = Packed.from_texts([[101, 2307, 102], [101, 102]])
        >>> batch.input_ids.tolist(), batch.offsets.tolist()
        ([101, 2307, 102, 101, 102], [0, 3, 5])
    """

    input_ids: Tensor
    token_type_ids: Tensor
    position_ids: Tensor
    offsets: Tensor
    lengths: tuple[int, ...]
    longest: int

    @property
    def inputs(self) -> tuple[Tensor, Tensor, Tensor]:
        """(N,) piece ids, segments and places: what the embeddings are looked up by."""
        return self.input_ids, self.token_type_ids, self.position_ids

    @cached_property
    def stacks(self) -> Stacks:
        """The texts in stacks of like length, for attention; worked out when it is first asked for."""
        return Stacks.of(self.lengths, self.input_ids.device)

    @classmethod
    def from_texts(
        cls, texts: Sequence[Sequence[int] | NDArray[np.integer]], second_at: Sequence[int | None] | None = None
    ) -> Self:
        """Pack texts, given as piece ids with [CLS] and [SEP].

        Args:
            texts: B texts of one piece or more.
            second_at: for each text, where its second segment starts; None, there or here, where there is one segment.

        Raises:
            ValueError: when there is no text, one is empty, or `second_at` is not as long as `texts`.
        """
        lengths = _checked([len(ids) for ids in texts])
        second = [None] * len(texts) if second_at is None else second_at
        if len(second) != len(texts):
            raise ValueError(f"there are {len(texts)} texts and {len(second)} starts of second segments")
        starts = [length if start is None else start for start, length in zip(second, lengths, strict=True)]
        ends = np.cumsum(lengths)
        places = np.arange(ends[-1]) - np.repeat(ends - lengths, lengths)
        segments = places >= np.repeat(starts, lengths)
        ids = np.concatenate([np.asarray(text, dtype=np.int64) for text in texts])
        return cls._of(
            torch.from_numpy(ids), torch.from_numpy(segments.astype(np.int64)), torch.from_numpy(places), lengths
        )

    @classmethod
    def from_padded(
        cls, input_ids: Tensor, attention_mask: Tensor | None = None, token_type_ids: Tensor | None = None
    ) -> Self:
        """Take the padding out of a batch; places are counted as in the padded batch.

        Args:
            input_ids: (B, T) piece ids.
            attention_mask: (B, T), 1 or True at real pieces, 0 at padding; None when nothing is padded.
            token_type_ids: (B, T) segment of each piece; None for all zeros.

        Raises:
            ValueError: when a text is nothing but padding.
        """
        real = torch.ones_like(input_ids, dtype=torch.bool) if attention_mask is None else attention_mask.bool()
        segments = torch.zeros_like(input_ids) if token_type_ids is None else token_type_ids
        places = torch.arange(input_ids.shape[1], device=input_ids.device).expand_as(input_ids)
        return cls._of(input_ids[real], segments[real], places[real], _checked(real.sum(1).tolist()))

    @classmethod
    def _of(cls, input_ids: Tensor, token_type_ids: Tensor, position_ids: Tensor, lengths: list[int]) -> Self:
        offsets = torch.tensor([0, *lengths]).cumsum(0).to(input_ids.device, torch.int32)
        return cls(input_ids, token_type_ids, position_ids, offsets, tuple(lengths), max(lengths))

    def padded(self, x: Tensor, shape: Sequence[int]) -> Tensor:
        """(B, T, ...) of (N, ...): the rows of a packed batch where its pieces stood in the padded one, zero elsewhere.

        Args:
            x: (N, ...).
            shape: B and T of the batch that `from_padded` took.
        """
        texts, places = shape
        begins = torch.arange(texts, device=x.device) * places
        rows = begins.repeat_interleave(self.offsets.diff()) + self.position_ids
        wide: Tensor = spread(x, rows, texts * places).unflatten(0, (texts, places))
        return wide

    def to(self, device: torch.device | str, non_blocking: bool = False) -> Packed:
        """The same batch on another device."""
        return self._with(lambda x: x.to(device, non_blocking=non_blocking))

    def pin_memory(self) -> Packed:
        """The same batch in memory from which a GPU copies while something else is computed."""
        return self._with(Tensor.pin_memory)

    def _with(self, change: Callable[[Tensor], Tensor]) -> Packed:
        ids, segments, places, offsets = map(change, (*self.inputs, self.offsets))
        return Packed(ids, segments, places, offsets, self.lengths, self.longest)


def is_worth_packing(attention_mask: Tensor | None) -> bool:
    """True where leaving the padding out of a padded batch spares work and changes nothing else.

    A small batch keeps a GPU waiting for its next kernel, padded or not, so there it stays as it is. A text whose first
    place is padding would have another [CLS].

    Args:
        attention_mask: (B, T); None when nothing is padded.
    """
    if attention_mask is None or attention_mask.device.type != "cpu":
        return False
    real = attention_mask.bool()
    return not bool(real.all()) and bool(real[:, 0].all())


def _find_varlen() -> Callable[..., Any] | None:
    """The kernel for texts of any lengths, which came with PyTorch 2.10."""
    try:
        found: Callable[..., Any] = import_module("torch.nn.attention.varlen").varlen_attn
    except ImportError:
        return None
    return found


varlen_attn = _find_varlen()


def _checked(lengths: list[int]) -> list[int]:
    if not lengths:
        raise ValueError("there is no text to pack")
    if 0 in lengths:
        raise ValueError(f"text {lengths.index(0)} of the batch has no piece; a text has at least its [CLS]")
    return lengths


def attend_packed(q: Tensor, k: Tensor, v: Tensor, packed: Packed, rate: float, attend: Attend) -> Tensor:
    """Attention in which each piece sees the pieces of its own text.

    On a GPU a variable-length kernel of PyTorch does it; elsewhere texts of like length are stacked, and `attend`
    does it for a stack at a time.

    Args:
        q: (N, A, D) queries.
        k: (N, A, D) keys.
        v: (N, A, D) values.
        packed: where the texts lie.
        rate: of dropout on attention weights, 0 outside training.
        attend: attention over a stack of texts, `polarbert.model.encoder.attend`.

    Returns:
        (N, A, D), the mixed values.
    """
    if not q.is_cuda:
        return attend_in_stacks(q, k, v, packed.stacks, rate, attend)
    return attend_varlen(q, k, v, packed) if rate == 0 and _suits_varlen(q) else attend_nested(q, k, v, packed, rate)


def _suits_varlen(q: Tensor) -> bool:
    """True where `attend_varlen` has what it needs."""
    suits = q.dtype in (torch.float16, torch.bfloat16) and q.shape[-1] % 8 == 0 and q.shape[-1] <= 256
    return varlen_attn is not None and suits and torch.cuda.get_device_capability(q.device) >= (8, 0)


@dataclass(frozen=True, eq=False)
class Stacks:
    """Where the pieces of a packed batch lie in stacks of texts of like length, one stack after another.

    Attributes:
        places: (N,) the row of each piece; R rows in all, those behind the end of a text among them.
        shapes: texts and places of each stack; R is the sum of their products.
        masks: for each stack (b, 1, 1, t) bool, True at pieces; None where nothing is padded.
    """

    places: Tensor
    shapes: tuple[tuple[int, int], ...]
    masks: tuple[Tensor | None, ...]

    @classmethod
    def of(cls, lengths: Sequence[int], device: torch.device) -> Self:
        """The division that is cheapest to attend to."""
        sizes = np.asarray(lengths)
        starts = np.cumsum(sizes) - sizes
        places = np.empty(int(sizes.sum()), dtype=np.int64)
        shapes, masks, begin = [], [], 0
        for members in divide(lengths):
            own = sizes[members]
            longest = int(own.max())
            for row, number in enumerate(members):
                places[starts[number] : starts[number] + sizes[number]] = (
                    begin + row * longest + np.arange(sizes[number])
                )
            is_even = bool((own == longest).all())
            real = torch.from_numpy(np.arange(longest) < own[:, None])[:, None, None]
            masks.append(None if is_even else real.to(device))
            shapes.append((len(members), longest))
            begin += len(members) * longest
        return cls(torch.from_numpy(places).to(device), tuple(shapes), tuple(masks))


def divide(lengths: Sequence[int], cost: int = STACK_COST) -> list[list[int]]:
    """The texts of a batch in groups of like length, so that attention, padded to the longest of each, costs least.

    Args:
        lengths: pieces of each text.
        cost: of one more group, in weights.

    Returns:
        The numbers of the texts of each group; the longest come first.

    Example:
        >>> divide([10, 120, 10, 10, 118, 11])
        [[1, 4], [5, 0, 2, 3]]
    """
    sizes = np.asarray(lengths, dtype=np.int64)
    order = np.argsort(-sizes, kind="stable")
    squares = sizes[order] ** 2
    count = len(order)
    least = np.zeros(count + 1, dtype=np.int64)  # what the first so many texts cost
    begins = np.zeros(count + 1, dtype=np.int64)  # where the last group of that division begins
    for end in range(1, count + 1):
        costs = least[:end] + squares[:end] * np.arange(end, 0, -1) + cost
        begins[end] = costs.argmin()
        least[end] = costs[begins[end]]
    bounds = [count]
    while bounds[-1]:
        bounds.append(int(begins[bounds[-1]]))
    bounds.reverse()
    return [order[begin:end].tolist() for begin, end in pairwise(bounds)]


class Spread(torch.autograd.Function):
    """Rows put at places of a larger tensor that is otherwise zero.

    No two share a place, so that the backward pass gathers; that of PyTorch's own indexing adds up, which is slower.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, places: Tensor, rows: int) -> Tensor:
        """(rows, ...) of (N, ...)."""
        ctx.save_for_backward(places)
        return x.new_zeros(rows, *x.shape[1:]).index_copy_(0, places, x)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        """(N, ...) of (rows, ...)."""
        return gradients[0].index_select(0, ctx.saved_tensors[0]), None, None


class Gather(torch.autograd.Function):
    """What `Spread` put at places, taken from there."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, places: Tensor) -> Tensor:
        """(N, ...) of (rows, ...)."""
        ctx.save_for_backward(places)
        ctx.rows = len(x)
        return x.index_select(0, places)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        """(rows, ...) of (N, ...)."""
        wide = gradients[0].new_zeros(ctx.rows, *gradients[0].shape[1:])
        return wide.index_copy_(0, ctx.saved_tensors[0], gradients[0]), None


def spread(x: Tensor, places: Tensor, rows: int) -> Tensor:
    """(rows, ...), zero but for the rows of `x` (N, ...) at N different places."""
    wide: Tensor = Spread.apply(x, places, rows)  # type: ignore[no-untyped-call]
    return wide


def attend_in_stacks(q: Tensor, k: Tensor, v: Tensor, stacks: Stacks, rate: float, attend: Attend) -> Tensor:
    """Attend to a stack of texts of like length at a time; any device and precision."""
    rows = sum(texts * places for texts, places in stacks.shapes)
    bounds = [texts * places for texts, places in stacks.shapes]
    wide = [spread(x, stacks.places, rows).split(bounds) for x in (q, k, v)]  # each (b * t, A, D)
    mixed = []
    for shape, mask, *parts in zip(stacks.shapes, stacks.masks, *wide, strict=True):
        heads = [part.unflatten(0, shape).transpose(1, 2) for part in parts]  # (b, A, t, D)
        mixed.append(attend(heads[0], heads[1], heads[2], mask, rate)[0].transpose(1, 2).flatten(0, 1))
    joined = mixed[0] if len(mixed) == 1 else torch.cat(mixed)
    gathered: Tensor = Gather.apply(joined, stacks.places)  # type: ignore[no-untyped-call]
    return gathered


def attend_varlen(q: Tensor, k: Tensor, v: Tensor, packed: Packed) -> Tensor:
    """The flash kernel for texts of any lengths (Dao 2023, "FlashAttention-2").

    Needs PyTorch 2.10, an NVIDIA GPU of the Ampere generation or later, fp16 or bf16, and D a multiple of 8 up to 256.
    It has no dropout.
    """
    if varlen_attn is None:
        raise RuntimeError(f"PyTorch {torch.__version__} has no variable-length attention; it came with 2.10")
    mixed: Tensor = varlen_attn(q, k, v, packed.offsets, packed.offsets, packed.longest, packed.longest)
    return mixed


def attend_nested(q: Tensor, k: Tensor, v: Tensor, packed: Packed, rate: float) -> Tensor:
    """PyTorch's attention over nested tensors, which has dropout.

    On a GPU it takes the flash kernel in fp16 and bf16, and the memory-efficient one in fp32; elsewhere it is correct
    and slow.
    """
    offsets, shortest = packed.offsets, min(packed.lengths)
    nested = (
        torch.nested.nested_tensor_from_jagged(x, offsets, min_seqlen=shortest, max_seqlen=packed.longest)
        for x in (q, k, v)
    )
    query, key, value = (x.transpose(1, 2) for x in nested)  # (B, A, t, D), t another for each text
    mixed = F.scaled_dot_product_attention(query, key, value, dropout_p=rate)
    values: Tensor = mixed.transpose(1, 2).values()
    return values
