"""Fine-tuning a model that finds answers in passages (BERT, sections 4.2 and 4.3), as a task of the loop."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import cast

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from polarbert.calibration import Calibration
from polarbert.data.dataset import Dataset, LabelledText
from polarbert.data.questions import Question, has_impossible
from polarbert.errors import DataError
from polarbert.export.texts import own_pairs
from polarbert.inference.answerer import ALWAYS_ANSWERS, Answer, QuestionAndContext, QuestionAnswerer
from polarbert.inference.answers_evaluation import AnswersEvaluation, judge_answers, question_of
from polarbert.inference.predictor import Window
from polarbert.inference.spans import Evidence, PassageReader, Reading, SpanScores, cut_questions, pieces_of
from polarbert.metrics import answer_f1, exact_match
from polarbert.text import WordPieceTokenizer
from polarbert.text.batches import plan_batches
from polarbert.training.answer_confidence import fit_answers
from polarbert.training.base import Base
from polarbert.training.batching import Batch, Example, collate
from polarbert.training.confidence import FITTED_AT_ONCE
from polarbert.training.device import make_precision
from polarbert.training.examples import EncodedTexts
from polarbert.training.recipe import FineTuneSettings
from polarbert.training.settings import TrainSettings
from polarbert.training.text_task import TextTask


@dataclass(frozen=True)
class SpanExample(Example):
    """A window of a passage with its question.

    Attributes:
        start: place in `ids` of the answer's first piece; 0, the place of [CLS], where the window does not hold it.
        end: of its last.
    """

    start: int = 0
    end: int = 0


@dataclass(frozen=True)
class JudgedQuestion:
    """A question with all that its answer is judged by.

    Attributes:
        reading: its windows.
        truths: the answers of its annotators; none when there is none to find.
    """

    reading: Reading
    truths: list[str]


@dataclass(frozen=True)
class EncodedQuestions(EncodedTexts):
    """Questions as examples, one a window.

    Attributes:
        cut: how many questions were longer than half a window, and so read in part.
        judged: one a question, in order.
        lost: how many have an answer of characters that the tokenizer does not read; nothing is learned from them.
    """

    judged: list[JudgedQuestion] = field(default_factory=list)
    lost: int = 0

    @property
    def notes(self) -> list[str]:
        """What people should know."""
        notes = [cut_questions(self.cut)] if self.cut else []
        what = "questions whose answers are of characters that the tokenizer does not read: "
        return [*notes, *([f"{what}{self.lost:,}; nothing is learned from them"] if self.lost else [])]


def encode_questions(
    rows: Sequence[LabelledText], tokenizer: WordPieceTokenizer, max_pieces: int, overlap: int
) -> EncodedQuestions:
    """Windows of passages, each behind its question.

    The answer to be learned is the one that most annotators gave, the first of these. A window that does not hold it
    whole points at [CLS], as all windows of a question without an answer do.

    Args:
        rows: questions, as `polarbert.data.questions.read_questions` gives them.
        tokenizer: of the network.
        max_pieces: most pieces of a window, [CLS] and [SEP] included.
        overlap: pieces that neighbouring windows share.

    Example:
        >>> dataset = read_questions("questions.json")
        >>> encode_questions(dataset.rows, tokenizer, 256, 64).examples[0].start
        31
    """
    questions = [question_of(row) for row in rows]
    readings = PassageReader(tokenizer, max_pieces, overlap).read([(row.question, row.text) for row in questions])
    examples: list[SpanExample] = []
    judged, lost = [], 0
    for question, reading in zip(questions, readings, strict=True):
        judged.append(JudgedQuestion(reading, question.truths))
        answer = answer_pieces(question, reading)
        if answer is None and question.answers:
            lost += 1
        else:
            examples += _windows(reading, answer)
    pieces = sum(len(example.ids) for example in examples)
    return EncodedQuestions(examples, pieces, sum(reading.n_cut > 0 for reading in readings), judged, lost)


def answer_pieces(question: Question, reading: Reading) -> tuple[int, int] | None:
    """The first and the last piece of the passage that belong to the answer, whole words; None where there is none."""
    if not question.answers:
        return None
    text, start = Counter(question.answers).most_common(1)[0][0]
    found = pieces_of(reading, start, start + len(text))
    if found is None:
        return None
    first, last = found
    return int(np.flatnonzero(reading.can_start[: first + 1])[-1]), last + int(reading.can_end[last:].argmax())


def _windows(reading: Reading, answer: tuple[int, int] | None) -> Iterator[SpanExample]:
    for window, (begin, stop) in zip(reading.windows, reading.parts, strict=True):
        start = end = 0
        if answer is not None and begin <= answer[0] and answer[1] < stop:
            start, end = (piece - begin + (window.second_at or 0) for piece in answer)
        yield SpanExample(window.ids, 0, second_at=window.second_at, start=start, end=end)


@dataclass
class SpanBatch:
    """Tensors of a batch; B windows, T pieces in the longest.

    Attributes:
        input_ids: (B, T).
        attention_mask: (B, T) bool, or None when no window is padded.
        token_type_ids: (B, T).
        starts: (B,) place of the answer's first piece, 0 where there is none.
        ends: (B,) of its last.
        candidates: (B, T) bool, true at [CLS] and at the pieces of the passage.
        tokens: pieces without padding.
    """

    input_ids: Tensor
    attention_mask: Tensor | None
    token_type_ids: Tensor
    starts: Tensor
    ends: Tensor
    candidates: Tensor
    tokens: int

    @classmethod
    def of(cls, examples: Sequence[SpanExample], pad_id: int) -> SpanBatch:
        """Pad windows to the longest among them."""
        padded = _padded(examples, pad_id)
        candidates = padded.token_type_ids.bool()
        candidates[torch.arange(len(examples)), torch.tensor([len(example.ids) - 1 for example in examples])] = False
        candidates[:, 0] = True
        starts, ends = (torch.tensor([getattr(e, name) for e in examples]) for name in ("start", "end"))
        texts = padded.input_ids, padded.attention_mask, padded.token_type_ids
        return cls(*texts, starts, ends, candidates, padded.tokens)

    @property
    def counts(self) -> tuple[int]:
        """Its windows: what the mean of a batch is over."""
        return (len(self.starts),)

    def to(self, device: torch.device) -> SpanBatch:
        """The same batch on another device."""
        mask = None if self.attention_mask is None else self.attention_mask.to(device)
        tensors = self.input_ids, self.token_type_ids, self.starts, self.ends, self.candidates
        ids, segments, starts, ends, candidates = (tensor.to(device) for tensor in tensors)
        return SpanBatch(ids, mask, segments, starts, ends, candidates, self.tokens)


def _padded(examples: Sequence[Example], pad_id: int) -> Batch:
    return collate(examples, 1, pad_id)


@dataclass
class QuestionAnsweringTask(TextTask):
    """The mean of the cross-entropy of starts and of that of ends, over windows (BERT, section 4.2).

    The score is the mean F1 of the dev groups, of whole answers over all windows of each question.

    Args:
        train: windows to learn from, of type `SpanExample`.
        dev: the windows of the dev groups; they count in the fingerprint.
        classes: 2, the logits of a piece.
        judged: the questions of each dev group.
        may_decline: whether "no answer" is a possible answer.
    """

    judged: Mapping[str, Sequence[JudgedQuestion]] = field(default_factory=dict)
    may_decline: bool = True

    def fingerprint(self) -> str:
        """Changes with anything that is learned from or judged by."""
        places = [(example.start, example.end) for example in cast("list[SpanExample]", list(self.examples()))]
        truths = {name: [question.truths for question in questions] for name, questions in self.judged.items()}
        return self.digest(places, truths, self.may_decline)

    def prepare(self, numbers: list[int]) -> list[SpanBatch]:  # type: ignore[override]
        """The tensors of these windows."""
        examples = [cast(SpanExample, self.train[number]) for number in numbers]
        return [SpanBatch.of(examples, self.tokenizer.pad_id)]

    def losses(self, model: nn.Module, part: SpanBatch, totals: Sequence[float]) -> dict[str, Tensor]:
        """Half the cross-entropy of starts and half that of ends, over [CLS] and the passage, divided by `totals`."""
        logits = model(part.input_ids, part.attention_mask, part.token_type_ids).logits.float()  # (B, T, 2)
        logits = logits.masked_fill(~part.candidates[..., None], float("-inf"))
        places = {"start": part.starts, "end": part.ends}
        return {
            name: F.cross_entropy(logits[..., number], true, reduction="sum") / (2 * totals[0])
            for number, (name, true) in enumerate(places.items())
        }

    def evaluate(self, model: nn.Module) -> dict[str, float]:
        """F1 and exact match of each dev group, apart by whether there is an answer; "score" is the mean F1."""
        figures: dict[str, float] = {}
        for name, questions in self.judged.items():
            figures |= {f"{name}_{what}": value for what, value in self._figures(model, questions).items()}
        return {"score": float(np.mean([figures[f"{name}_f1"] for name in self.judged])), **figures}

    def _figures(self, model: nn.Module, questions: Sequence[JudgedQuestion]) -> dict[str, float]:
        answers = self.answers(model, questions)
        pairs = [(answer, question.truths) for answer, question in zip(answers, questions, strict=True)]
        f1 = np.array([answer_f1(*pair) for pair in pairs])
        exact = np.array([exact_match(*pair) for pair in pairs])
        there = np.array([bool(question.truths) for question in questions])
        figures = {"f1": float(f1.mean()), "exact_match": float(exact.mean())}
        if there.any() and not there.all():
            figures |= {"has_answer_f1": float(f1[there].mean()), "no_answer_f1": float(f1[~there].mean())}
        return figures

    def answers(self, model: nn.Module, questions: Sequence[JudgedQuestion]) -> list[str]:
        """The best answer to each question; an empty text for "no answer"."""
        logits = iter(self.window_logits(model, [window for q in questions for window in q.reading.windows]))
        found = []
        for reading in (question.reading for question in questions):
            evidence = Evidence.of(reading, [next(logits) for _ in reading.windows])
            best = SpanScores.of(reading, evidence, self.may_decline).findings(1).best
            found.append("" if best is None else best.text)
        return found

    def window_logits(self, model: nn.Module, windows: Sequence[Window]) -> list[NDArray[np.float32]]:
        """(pieces, 2) logits of each window, in order."""
        device = next(model.parameters()).device
        precision = make_precision(model, self.settings.precision)
        result: list[NDArray[np.float32]] = [np.empty(0, np.float32)] * len(windows)
        for numbers in plan_batches([len(w.ids) for w in windows], 4 * self.settings.batch_tokens, seed=None):
            examples = [Example(windows[n].ids, 0, second_at=windows[n].second_at) for n in numbers]
            batch = _padded(examples, self.tokenizer.pad_id).to(device)
            with torch.inference_mode(), precision():
                logits = model(batch.input_ids, batch.attention_mask, batch.token_type_ids).logits.float().cpu().numpy()
            for number, rows in zip(numbers, logits, strict=True):
                result[number] = rows[: len(windows[number].ids)]
        return result


class QuestionAnsweringKind:
    """Questions about passages, as fine-tuning takes them; see `polarbert.training.kinds.Kind`."""

    measure = "answer F1"

    def __init__(self, dataset: Dataset, base: Base, settings: FineTuneSettings) -> None:
        if not any(question_of(row).answers for row in dataset.rows):
            raise DataError(
                f"{dataset.name}: no question has an answer, so there is none to learn to find. Give some their "
                "answers; in SQuAD they are the list 'answers', each with its text and answer_start"
            )
        self._base = base
        self._longest = base.longest(settings.max_pieces)
        self.traits: tuple[str, ...] = () if has_impossible(dataset.rows) else (ALWAYS_ANSWERS,)

    def encode(self, rows: Sequence[LabelledText]) -> EncodedQuestions:
        """See `Kind.encode`."""
        return encode_questions(rows, self._base.tokenizer, self._longest, self._longest // 4)

    def task(self, learned: EncodedTexts, judging: EncodedTexts, training: TrainSettings) -> QuestionAnsweringTask:
        """See `Kind.task`."""
        judged = {"dev": cast(EncodedQuestions, judging).judged}
        parts = learned.examples, {"dev": judging.examples}, 2, self._base.tokenizer, training
        return QuestionAnsweringTask(*parts, judged, ALWAYS_ANSWERS not in self.traits)

    def asked(self, rows: Sequence[LabelledText]) -> list[QuestionAndContext]:
        """See `Kind.asked`."""
        return [(question_of(row).question, row.text) for row in rows]

    def truth(self, rows: Sequence[LabelledText]) -> list[list[int]]:
        """See `Kind.truth`: the columns of start and end in `QuestionAnswerer.distributions`."""
        readings = PassageReader(self._base.tokenizer, self._longest, self._longest // 4).read(self.asked(rows))
        answers = [answer_pieces(question_of(row), reading) for row, reading in zip(rows, readings, strict=True)]
        return [[0, 0] if answer is None else [answer[0] + 1, answer[1] + 1] for answer in answers]

    def own_inputs(self) -> list[QuestionAndContext]:
        """See `Kind.own_inputs`."""
        return [(text or "", context) for context, text in own_pairs()]

    def fit(self, predictor: QuestionAnswerer, rows: Sequence[LabelledText], target: float) -> Calibration:
        """See `Kind.fit`."""
        return fit_answers(_scores(predictor, self.asked(rows)), [question_of(row).truths for row in rows], target)

    def judge(
        self, dataset: Dataset, answers: Sequence[Answer], predictor: QuestionAnswerer, seconds: float
    ) -> AnswersEvaluation:
        """See `Kind.judge`."""
        return judge_answers(dataset, answers, predictor.unsure_below, seconds=seconds)

    def shown(self, dev: Mapping[str, float]) -> dict[str, float]:
        """See `Kind.shown`."""
        return {"F1": dev["dev_f1"], "exact match": dev["dev_exact_match"]}


def _scores(predictor: QuestionAnswerer, asked: Sequence[QuestionAndContext]) -> Iterator[SpanScores]:
    """Those of each question; few are held at once, since each has a number for every span of its passage."""
    for begin in range(0, len(asked), FITTED_AT_ONCE):
        for reading, evidence in predictor.evidence(asked[begin : begin + FITTED_AT_ONCE]):
            yield SpanScores.of(reading, evidence, predictor.may_decline)
