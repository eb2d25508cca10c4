"""Which output layer each kind of task has (BERT, figure 4)."""

from __future__ import annotations

from polarbert.model.heads import BertForSequenceClassification, BertWithHead
from polarbert.model.question_answering import BertForQuestionAnswering
from polarbert.model.tagging import BertForTokenClassification

HEADS: dict[str, type[BertWithHead]] = {
    "sentiment": BertForSequenceClassification,
    "classification": BertForSequenceClassification,
    "pair": BertForSequenceClassification,
    "regression": BertForSequenceClassification,
    "tagging": BertForTokenClassification,
    "qa": BertForQuestionAnswering,
}


def head_of(task: str) -> type[BertWithHead]:
    """The model class of a task, one of `polarbert.bundle.TASKS`."""
    return HEADS[task]
