"""From raw text to a BERT: vocabulary, token shards, network, run."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from polarbert.data.corpus import Document, read_documents
from polarbert.data.corpus_files import list_files, silent
from polarbert.data.shards import Shards, write_shards
from polarbert.errors import UsageError
from polarbert.model.masked_lm import BertForMaskedLM
from polarbert.model.pretraining import BertForPreTraining
from polarbert.text import WordPieceTokenizer
from polarbert.text.sentences import SPLITTERS
from polarbert.text.vocabulary import learn_vocabulary, save_vocabulary
from polarbert.training.corpus_parts import CorpusParts
from polarbert.training.device import choose_device
from polarbert.training.loop import train
from polarbert.training.pretraining import PretrainingTask
from polarbert.training.pretraining_recipe import PretrainSettings
from polarbert.training.processes import Processes, joined
from polarbert.training.run import RunDirectory, SharedRun

Note = Callable[[str], None]


@dataclass(frozen=True)
class Pretraining:
    """Pre-train a new BERT on unlabelled text (BERT, section 3.1).

    Everything lies in one directory: `vocabulary/`, `shards/` (the text as piece ids, made once), what the loop writes
    (see `polarbert.training.run`), and in `best/` the best model with both heads, in the Hugging Face layout. Started
    by `torchrun`, its processes train together, and the first one writes.

    Args:
        corpus: files and folders of text; see `polarbert.data.corpus.read_documents`.
        output: the run directory.
        settings: how.
        vocabulary: a directory with a tokenizer; None to learn one from the corpus.
        dev: files and folders to judge by; None to hold out some documents of the corpus.
        note: called with a line on each step.
        quiet: no progress bar on stderr.

    Example:
        >>> tiny = read_settings(Path("recipes/pretrain/tiny.toml"), PretrainSettings)
        >>> Pretraining(["books"], Path("run"), tiny).run()["best_score"]
    """

    corpus: Sequence[str | Path]
    output: Path
    settings: PretrainSettings
    vocabulary: Path | None = None
    dev: Sequence[str | Path] | None = None
    note: Note = silent
    quiet: bool = False

    def run(self, resume: bool = False) -> dict[str, Any]:
        """Do everything that is not yet done.

        Args:
            resume: go on with the run in `output`.

        Returns:
            The summary that is also written to summary.json.

        Raises:
            UsageError: when a path, the device or the splitter is not there.
            DataError: when the corpus cannot be read, or has too few documents.
            TrainingError: when the run cannot start or resume, the loss is not a number, or the disk is full.
        """
        device = choose_device(self.settings.device)
        with joined(device, self.settings.sharding) as processes:
            run = RunDirectory(self.output) if processes.is_first else SharedRun(self.output)
            with run.locked():
                if processes.is_first:
                    self._refuse_another(run, resume)
                    self._prepare(run)
                processes.wait()
                return self._train(run, device, processes, resume)

    def task(self) -> PretrainingTask:
        """The data as the network sees them, once `run` or `prepare` has made them."""
        shards, dev = (Shards.open(self.output / "shards" / part) for part in ("train", "dev"))
        return PretrainingTask(shards, dev, self.tokenizer, self.settings)

    def prepare(self) -> PretrainingTask:
        """Make vocabulary and shards, without training."""
        run = RunDirectory(self.output)
        with run.locked():
            self._prepare(run)
        return self.task()

    @cached_property
    def tokenizer(self) -> WordPieceTokenizer:
        """The given one, or that which was learned."""
        return WordPieceTokenizer.from_directory(self.vocabulary or self.output / "vocabulary")

    def _refuse_another(self, run: RunDirectory, resume: bool) -> None:
        """Before hours of work, what `begin` would refuse after them."""
        if RunDirectory.peek(run.path) is not None and not resume:
            run.begin({}, resume=False)

    def _train(self, run: RunDirectory, device: torch.device, processes: Processes, resume: bool) -> dict[str, Any]:
        task = self.task()
        kind = BertForPreTraining if self.settings.next_sentence else BertForMaskedLM
        torch.manual_seed(self.settings.training.seed)
        config = self.settings.network.to_config(self.tokenizer.vocab_size, self.tokenizer.pad_id)
        self._check_lengths(config.max_position_embeddings)
        model = kind(config).to(device)
        # Masked LM alone leaves the pooler as it is; processes that average gradients must know that it gets none.
        model.bert.pooler.requires_grad_(self.settings.next_sentence)
        model.bert.gradient_checkpointing = self.settings.gradient_checkpointing
        run.begin(self.settings.to_dict() | {"data": task.fingerprint()}, resume)
        parameters = sum(parameter.numel() for parameter in model.parameters())
        self.note(
            f"{parameters:,} parameters, {task.shards.pieces:,} word pieces to learn from, "
            f"{task.dev.pieces:,} held out; {self.settings.steps:,} steps on {device.type}"
        )
        settings = self.settings.loop_settings
        return train(model, task, settings, run, resume, self.quiet, processes)

    def _check_lengths(self, longest: int) -> None:
        for stage in self.settings.stages:
            if stage.length > longest:
                raise UsageError(
                    f"settings: a stage has sequences of {stage.length} pieces; the network reads {longest}. "
                    "Set max_position_embeddings under [network], or shorter stages"
                )

    def _prepare(self, run: RunDirectory) -> None:
        self._check_inputs()
        parts = self._parts(run)
        if self.vocabulary is None and not (self.output / "vocabulary" / "tokenizer.json").is_file():
            self._learn_vocabulary()
        dev = parts.dev(self._documents()) if self.dev is None else self._documents(self.dev)
        self._write_shards("train", parts.train(self._documents()), parts)
        self._write_shards("dev", dev, parts)

    def _check_inputs(self) -> None:
        """Say what is not there before anything is read."""
        splitter = self.settings.corpus.splitter
        if splitter not in SPLITTERS:
            raise UsageError(f"settings: there is no splitter {splitter!r}; known are {', '.join(SPLITTERS)}")
        paths = [*self.corpus, *(self.dev or [])]
        if "-" in map(str, paths):
            raise UsageError("-: the text is read more than once, so it cannot come from stdin; save it in a file")
        list_files(paths)
        if self.vocabulary is not None:
            WordPieceTokenizer.from_directory(self.vocabulary)

    def _parts(self, run: RunDirectory) -> CorpusParts:
        """How the corpus is divided; read anew only when a file has changed."""
        share = self.settings.corpus.dev_share if self.dev is None else None
        stamps = {"files": _stamps(self.corpus), "corpus": asdict(self.settings.corpus), "share": share}
        before = run.read("corpus.json")
        if before is not None and before["of"] == json.loads(json.dumps(stamps)):
            return CorpusParts(**before["parts"])
        self.note("reading the corpus")
        parts = CorpusParts.of(self._documents(note=self.note), share)
        run.write("corpus.json", {"of": stamps, "parts": asdict(parts)})
        return parts

    def _documents(self, paths: Sequence[str | Path] | None = None, note: Note = silent) -> Iterator[Document]:
        corpus = self.settings.corpus
        return read_documents(paths or self.corpus, corpus.unit, corpus.text_column, note, corpus.encoding)

    def _learn_vocabulary(self) -> None:
        asked = self.settings.vocabulary
        self.note(f"learning a vocabulary of {asked.size:,} pieces")
        texts = (document.text for document in self._documents())
        strip_accents = False if asked.keep_accents else None
        pieces = learn_vocabulary(texts, asked.size, cased=asked.cased, strip_accents=strip_accents)
        save_vocabulary(pieces, self.output / "vocabulary", cased=asked.cased, strip_accents=strip_accents)

    def _write_shards(self, part: str, documents: Iterator[Document], parts: CorpusParts) -> None:
        tokenizer = hashlib.sha256(self.tokenizer.backend.to_str().encode("utf-8")).hexdigest()
        fingerprint = {
            "corpus": parts.digest,
            "last_held_out": parts.last_held_out,
            "dev": None if self.dev is None else _stamps(self.dev),
            "tokenizer": tokenizer,
            "splitter": self.settings.corpus.splitter,
            "part": part,
        }
        split = SPLITTERS[self.settings.corpus.splitter]
        write_shards(documents, self.tokenizer, self.output / "shards" / part, split, fingerprint, note=self.note)


def _stamps(paths: Sequence[str | Path]) -> list[list[Any]]:
    """What changes when a file does, without reading it."""
    files = [Path(file) for file in list_files(paths)]
    return [[str(file), file.stat().st_size, file.stat().st_mtime_ns] for file in files]
