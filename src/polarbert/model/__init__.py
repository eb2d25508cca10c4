"""BERT in PyTorch: configuration, encoder, output layers. Needs the extra `[train]`, except `BertConfig`."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from polarbert.errors import MissingExtraError
from polarbert.model.config import BertConfig

if TYPE_CHECKING:
    from polarbert.model.encoder import BertEncoder, EncoderOutput
    from polarbert.model.heads import BertForSequenceClassification, ClassifierOutput
    from polarbert.model.masked_lm import BertForMaskedLM, MaskedLmHead, MaskedLmOutput
    from polarbert.model.packing import Packed
    from polarbert.model.pretraining import BertForPreTraining, PreTrainingOutput
    from polarbert.model.question_answering import BertForQuestionAnswering, QuestionAnsweringOutput
    from polarbert.model.tagging import BertForTokenClassification, TokenClassifierOutput

__all__ = [
    "BertConfig",
    "BertEncoder",
    "BertForMaskedLM",
    "BertForPreTraining",
    "BertForQuestionAnswering",
    "BertForSequenceClassification",
    "BertForTokenClassification",
    "ClassifierOutput",
    "EncoderOutput",
    "MaskedLmHead",
    "MaskedLmOutput",
    "Packed",
    "PreTrainingOutput",
    "QuestionAnsweringOutput",
    "TokenClassifierOutput",
]

_HOMES = {
    "BertEncoder": "polarbert.model.encoder",
    "EncoderOutput": "polarbert.model.encoder",
    "BertForSequenceClassification": "polarbert.model.heads",
    "ClassifierOutput": "polarbert.model.heads",
    "BertForMaskedLM": "polarbert.model.masked_lm",
    "MaskedLmHead": "polarbert.model.masked_lm",
    "MaskedLmOutput": "polarbert.model.masked_lm",
    "Packed": "polarbert.model.packing",
    "BertForPreTraining": "polarbert.model.pretraining",
    "PreTrainingOutput": "polarbert.model.pretraining",
    "BertForQuestionAnswering": "polarbert.model.question_answering",
    "QuestionAnsweringOutput": "polarbert.model.question_answering",
    "BertForTokenClassification": "polarbert.model.tagging",
    "TokenClassifierOutput": "polarbert.model.tagging",
}


def __getattr__(name: str) -> Any:
    """Load the torch-based names when first used, so that `BertConfig` alone stays light."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        return getattr(import_module(_HOMES[name]), name)
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        raise MissingExtraError(f"polarbert.model.{name}", "train") from None
