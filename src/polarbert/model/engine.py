"""The network itself as what computes answers, on a processor or a GPU: what scoring uses where no graph is run."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from polarbert.errors import PolarbertError
from polarbert.model.heads import BertWithHead

Ids = NDArray[np.int64]
BATCH_TOKENS = {"cpu": 2048, "cuda": 32_768}  # a GPU is idle where a batch is small: starting its steps takes longer


class TorchEngine:
    """Computes logits as the engines of `polarbert.inference` do, from weights instead of a graph. Thread-safe.

    In bf16 the products inside the layers and what lies between them are rounded, weights included; what a layer hands
    on, normalisation, the pooler and the output layer stay in float32. PyTorch shares a batch among its own threads,
    and work on a GPU stands in one queue, so batches are not computed side by side; on a GPU a second one is prepared
    meanwhile.

    Args:
        model: what computes; it is moved to the device and, in bf16, changed to the lower precision.
        device: "cpu" or "cuda".
        precision: "fp32" or "bf16".

    Attributes:
        name: of the engine, with device and precision.
        threads: batches that may be given to it at once.
        batch_tokens: pieces that a batch should have.

    Example:
        >>> engine = TorchEngine(BertForSequenceClassification(BertConfig.tiny(), ["negative", "positive"]))
        >>> ids = np.array([[101, 2307, 102]])
        >>> engine.logits(ids, np.ones_like(ids), np.zeros_like(ids)).shape
        (1, 2)
    """

    survives_fork = False  # PyTorch's threads and the GPU stay with the process that began

    def __init__(self, model: BertWithHead, device: torch.device | str = "cpu", precision: str = "fp32") -> None:
        self._device = torch.device(device)
        self._half = precision == "bf16"
        self._model = model.eval().to(self._device)
        if self._half:
            _round_products(self._model.bert.layers)
        self.name = f"torch, {self._device.type}, {precision}"
        self.threads = 1 if self._device.type == "cpu" else 2
        self.batch_tokens = BATCH_TOKENS.get(self._device.type, BATCH_TOKENS["cuda"])

    def logits(self, input_ids: Ids, attention_mask: Ids, token_type_ids: Ids) -> NDArray[np.float32]:
        """Logits (B, labels), or (B, T, labels), of a padded batch; each argument is (B, T).

        A batch too large for a GPU is cut in two.

        Raises:
            PolarbertError: when not even one text fits.
        """
        try:
            return self._compute(np.stack([input_ids, attention_mask, token_type_ids]))
        except torch.OutOfMemoryError as error:
            if len(input_ids) == 1:
                raise PolarbertError(
                    f"the device {self._device.type} has not enough memory for one text; end other programs that use "
                    "it, or take the device cpu"
                ) from error
        middle = len(input_ids) // 2
        halves = (slice(middle), slice(middle, None))
        return np.concatenate([self.logits(input_ids[h], attention_mask[h], token_type_ids[h]) for h in halves])

    @torch.inference_mode()
    def _compute(self, batch: NDArray[np.int64]) -> NDArray[np.float32]:
        ids, mask, segments = self._moved(torch.from_numpy(batch.astype(np.int32))).unbind()
        logits = self._rounded(ids, mask, segments) if self._half else self._model(ids, mask, segments).logits
        found: NDArray[np.float32] = logits.cpu().numpy()
        return found

    def _rounded(self, ids: Tensor, mask: Tensor, segments: Tensor) -> Tensor:
        with torch.autocast(self._device.type, torch.bfloat16):
            hidden = self._model.bert(ids, mask, segments).last_hidden_state  # (B, T, H)
        return self._model.read_out(hidden.float())

    def _moved(self, batch: Tensor) -> Tensor:
        """(3, B, T) on the device; pinned memory is copied without being copied first by the driver."""
        if self._device.type == "cuda":
            batch = batch.pin_memory()
        return batch.to(self._device, non_blocking=True)


def _round_products(layers: nn.Module) -> None:
    """Weights of products to bf16, once: autocast would round them for every batch again."""
    for module in layers.modules():
        if isinstance(module, nn.Linear):
            module.to(torch.bfloat16)
