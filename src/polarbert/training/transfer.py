"""What of a base is trained, how fast, and what helps it along: transfer learning, in one typed place.

Nothing here needs PyTorch; `optimizer`, `preparation`, `auxiliary` and `distillation` act on these settings.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from polarbert.errors import TrainingError
from polarbert.training.settings import TrainSettings

LAYERS = ("last", "sum", "mix", "concat")
HEAD_RATE = 1e-3  # for new layers over vectors that stay as they are; a rate for a trained encoder is far too small
WITH_TEACHER = ("teacher_weight", "temperature", "hidden_weight")


@dataclass(frozen=True)
class TransferSettings:
    """How a base becomes a model of one's own; the defaults train all of it (BERT, section 3.2).

    Args:
        frozen: leave embeddings and layers as they are, without dropout, and train the pooler and the output layer
            over their vectors (feature-based use: Devlin et al. 2019, section 5.3). A rate that was left at its default
            becomes 1e-3.
        layers: which vectors the pooler and the output layer read: those of the "last" layer, or of the last
            `layer_count` ones, as a "sum" or a "concat" (Devlin et al. 2019, table 7), or as a "mix" with learned
            weights (Peters et al. 2018, equation 1).
        layer_count: how many layers that are; the embeddings count as one. Of no meaning with "last".
        keep_layers: start from so many of the base's layers, evenly spaced, the last one among them (Sanh et al. 2019,
            section 3); 0 for all.
        head_rate: by which the rate of the output layer is multiplied; None for 10 where words are tagged, 1 elsewhere.
            It is new, while all below was trained before (Devlin et al. 2019, section 3.2): of tags that few words
            have, it would learn nothing in the few hundred steps that small data give. Over a frozen encoder it is 1.
        dropout: share of the network's inner values left out at random in each step (Srivastava et al. 2014), in place
            of the base's own rates, 0.1 for BERT (Devlin et al. 2019, appendix A.2); None for those. Layers that are
            frozen have none in any case.
        layer_decay: the rate of each layer is that of the layer above it times this, the embeddings' the least (Howard
            and Ruder 2018, section 3.2, take 1/2.6); 1 for the same rate everywhere.
        unfreeze: share of the run over which layers join in, the last one first and the embeddings last; the pooler and
            the output layer learn from the first step (Howard and Ruder 2018, section 3.3). 0 for all at once.
        auxiliary_lm: weight of a masked-LM loss on the same texts, learned beside the task (after Radford et al. 2018,
            section 3.2); 0 for none.
        teacher: a bundle whose answers and inner vectors are imitated (Hinton et al. 2015; Sanh et al. 2019); None for
            labels alone.
        teacher_weight: what the teacher's answers count, from 0 to 1; the labels count the rest (Hinton et al. 2015,
            section 2).
        temperature: by which the logits of both are divided, so that the unlikely classes tell something too (Hinton et
            al. 2015, section 2).
        hidden_weight: weight of the squared distance between the vectors of the student's layers and those of as many
            evenly spaced layers of the teacher (Jiao et al. 2020, equation 8); 0 for none.

    Raises:
        TrainingError: when a value is out of range, or two of them contradict each other.

    Example:
        >>> TransferSettings(layer_decay=0.9, unfreeze=0.3).to_dict()
        {'layer_decay': 0.9, 'unfreeze': 0.3}
    """

    frozen: bool = False
    layers: str = "last"
    layer_count: int = 4
    keep_layers: int = 0
    head_rate: float | None = None
    dropout: float | None = None
    layer_decay: float = 1.0
    unfreeze: float = 0.0
    auxiliary_lm: float = 0.0
    teacher: str | None = None
    teacher_weight: float = 0.5
    temperature: float = 2.0
    hidden_weight: float = 0.0

    def __post_init__(self) -> None:
        if self.layers not in LAYERS:
            raise _error(f"layers must be {', '.join(LAYERS[:-1])} or {LAYERS[-1]}, not {self.layers!r}")
        if self.layer_count < 1:
            raise _error(f"layer_count must be 1 or more, not {self.layer_count!r}")
        if self.keep_layers < 0:
            raise _error(f"keep_layers must be 0 (all) or more, not {self.keep_layers!r}")
        if self.head_rate is not None and not 0 < self.head_rate < math.inf:
            raise _error(f"head_rate must be above 0 and finite, not {self.head_rate!r}")
        if self.dropout is not None and not 0 <= self.dropout < 1:
            raise _error(f"dropout must be a share in [0, 1), not {self.dropout!r}")
        if not 0 < self.layer_decay <= 1:
            raise _error(f"layer_decay must be above 0 and at most 1, not {self.layer_decay!r}")
        if not 0 <= self.unfreeze < 1:
            raise _error(f"unfreeze must be a share of the run in [0, 1), not {self.unfreeze!r}")
        if not 0 <= self.teacher_weight <= 1:
            raise _error(f"teacher_weight must be from 0 to 1, not {self.teacher_weight!r}")
        for name in ("auxiliary_lm", "hidden_weight"):
            if not (math.isfinite(getattr(self, name)) and getattr(self, name) >= 0):
                raise _error(f"{name} must be 0 or more, and finite, not {getattr(self, name)!r}")
        if not 0 < self.temperature < math.inf:
            raise _error(f"temperature must be above 0 and finite, not {self.temperature!r}")
        self._refuse_contradictions()

    def _refuse_contradictions(self) -> None:
        """A setting that another one leaves without effect is a mistake that nobody would see."""
        changed = self.to_dict()
        if self.frozen:
            for name in ("head_rate", "layer_decay", "unfreeze", "auxiliary_lm", "hidden_weight"):
                if name in changed:
                    raise _error(f"frozen leaves the layers as they are, and {name} is about how they learn; drop one")
        if self.teacher is None:
            for name in WITH_TEACHER:
                if name in changed:
                    raise _error(f"{name} is about a teacher, and there is none; name a bundle as teacher")
        elif self.teacher_weight == 0 and self.hidden_weight == 0:
            raise _error("a teacher whose teacher_weight and hidden_weight are 0 teaches nothing; raise one of them")

    def to_dict(self) -> dict[str, Any]:
        """What differs from the defaults, as JSON has it: nothing for a run without any of this."""
        defaults = {field.name: field.default for field in fields(self)}
        return {name: value for name, value in asdict(self).items() if value != defaults[name]}

    def suited(self, training: TrainSettings) -> TrainSettings:
        """The loop's settings; over a frozen encoder, a rate that was left at its default becomes `HEAD_RATE`."""
        if self.frozen and training.learning_rate == TrainSettings.learning_rate:
            return replace(training, learning_rate=HEAD_RATE)
        return training


def _error(problem: str) -> TrainingError:
    return TrainingError(f"settings: [transfer] {problem}")
