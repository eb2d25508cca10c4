"""Tokenising a corpus to shards beside the `tokenizers` library alone, and making segment pairs of the shards.

    python benchmarks/shards.py

Takes about three minutes on two processors and writes benchmarks/results/shards.json. Every run is a process of its
own. The texts are books in the public domain.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Iterable, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import child
import common

PACKAGES = ("numpy", "pyarrow", "tokenizers")
OURS = "polarbert, from file to shards"
ALONE = {  # the library, by what it is given
    "tokenizers, whole books": "books",
    "tokenizers, passages of 16,384 characters": "passages",
    "tokenizers, sentence by sentence": "sentences",
}
BATCH = 2**22  # characters given to the library at once; all at once would take gigabytes for the answers
LENGTHS = (128, 512)


def main() -> None:
    """Measure and keep the result."""
    if child.serve((prepare, run_tokenizers, run_polarbert)):
        return
    options = _options()
    os.environ["RAYON_NUM_THREADS"] = str(options.threads)  # what the library calls for all who use it
    common.say("looking whether the machine is idle")
    busy = common.busy_share()
    with tempfile.TemporaryDirectory() as room:
        request = {"room": room, "books": options.books, "model": options.model}
        prepared = child.ask(__file__, "prepare", request).values
        common.say(f"{prepared['books']:,} books, {prepared['characters']:,} characters")
        runs = _rounds(request, options.rounds)
    values = {
        "model": "embedded" if options.model is None else Path(options.model).name,
        "threads": options.threads,
        "rounds": options.rounds,
        **prepared,
        **{name: runs[OURS][0][name] for name in ("pieces", "sentences", "shards")},
        "contestants": {name: _described(name, runs) for name in runs},
        "pairs": _pairs(runs[OURS]),
    }
    common.write_result("shards", busy, PACKAGES, values)
    _show(values)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", help="a bundle directory, for its pieces; the embedded model unless given")
    parser.add_argument("--books", type=int, default=80, help="how many books to tokenise (default 80)")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each contestant (default 3)")
    parser.add_argument("--threads", type=int, default=common.usable_processors(), help="for all; default: all")
    return parser.parse_args()


def _rounds(request: dict[str, Any], rounds: int) -> dict[str, list[dict[str, Any]]]:
    """Every contestant once a round, in turn."""
    contestants: dict[str, tuple[str, dict[str, Any]]] = {
        name: ("run_tokenizers", {"texts": texts}) for name, texts in ALONE.items()
    }
    contestants[OURS] = ("run_polarbert", {})
    runs: dict[str, list[dict[str, Any]]] = {name: [] for name in contestants}
    for number in range(1, rounds + 1):
        for name, (part, more) in contestants.items():
            run = child.ask(__file__, part, request | more | {"round": number}).values
            runs[name].append(run)
            common.say(
                f"round {number}  {name}: {run['seconds']:.2f} s, {run['pieces'] / run['seconds']:,.0f} pieces/s"
            )
        if runs["tokenizers, sentence by sentence"][-1]["pieces"] != runs[OURS][-1]["pieces"]:
            raise SystemExit(f"the shards have {runs[OURS][-1]['pieces']:,} pieces; the library gave others")
    return runs


def _described(name: str, runs: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
    fastest = [min(run["seconds"] for run in turn) for turn in zip(*(runs[name] for name in ALONE), strict=True)]
    own = runs[name]
    return {
        "pieces_per_second": common.summary([run["pieces"] / run["seconds"] for run in own], digits=0),
        "seconds": common.summary([run["seconds"] for run in own]),
        "peak_bytes": common.summary([run["peak_bytes"] for run in own], digits=0),
        "share_of_fastest_tokenizers": common.summary(
            [best / run["seconds"] for best, run in zip(fastest, own, strict=True)], digits=3
        ),
    }


def _pairs(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Pieces of the corpus made into sequences in a second, by one thread."""
    return {
        what: {
            "pieces_per_second": common.summary([run["pieces"] / run["pairs"][what]["seconds"] for run in runs], 0),
            **{name: value for name, value in runs[0]["pairs"][what].items() if name != "seconds"},
        }
        for what in runs[0]["pairs"]
    }


def prepare(request: dict[str, Any]) -> dict[str, Any]:
    """The tokenizer of a pre-training: the pieces of a model under BERT's own rules, as `polarbert vocab` sets them."""
    from polarbert.bundle import Bundle, resolve
    from polarbert.text import WordPieceTokenizer

    bundle = Bundle.open(resolve(request["model"]))
    found = WordPieceTokenizer.from_directory(bundle.path).backend.get_vocab()
    vocab = sorted(found, key=lambda piece: found[piece])
    WordPieceTokenizer.from_vocab(vocab, lowercase=True).save(Path(request["room"]) / "tokenizer")
    texts = [document.text for document in _documents(request)]
    return {"books": len(texts), "characters": sum(map(len, texts)), "vocabulary": len(vocab)}


def run_tokenizers(request: dict[str, Any]) -> dict[str, Any]:
    """The library alone: texts lie in memory, and nobody asks for the pieces."""
    from polarbert.data.passages import cut_passages
    from polarbert.text import WordPieceTokenizer
    from polarbert.text.sentences import split_sentences

    backend = WordPieceTokenizer.from_directory(Path(request["room"]) / "tokenizer").backend
    documents = _documents(request)
    if request["texts"] == "passages":
        texts = [passage.text for passage in cut_passages(documents, 2**14)]
    else:
        texts = [document.text for document in documents]
    if request["texts"] == "sentences":
        texts = [sentence for text in texts for sentence in split_sentences(text)]
    batches = _batches(texts)
    backend.encode_batch_fast(texts[0][:1000].split(), add_special_tokens=False)  # starts its threads
    pieces, seconds = 0, 0.0
    for batch in batches:
        started = time.perf_counter()
        found = backend.encode_batch_fast(batch, add_special_tokens=False)
        seconds += time.perf_counter() - started
        pieces += sum(map(len, found))
    return {"seconds": seconds, "pieces": pieces, "peak_bytes": common.own_peak_bytes()}


def run_polarbert(request: dict[str, Any]) -> dict[str, Any]:
    """All of it: the file is read, sentences are cut and tokenised, shards are on the disk; then pairs are made."""
    from polarbert.data.shards import write_shards
    from polarbert.text import WordPieceTokenizer
    from polarbert.text.sentences import split_sentences

    tokenizer = WordPieceTokenizer.from_directory(Path(request["room"]) / "tokenizer")
    tokenizer.encode(["a short text"] * 1000)  # starts the threads of the library
    folder = Path(request["room"]) / f"shards-{request['round']}"
    started = time.perf_counter()
    shards = write_shards(_documents(request), tokenizer, folder, split_sentences, {"books": request["books"]})
    seconds = time.perf_counter() - started
    return {
        "seconds": seconds,
        "peak_bytes": common.own_peak_bytes(),
        "pieces": shards.pieces,
        "sentences": shards.sentences,
        "shards": len(shards),
        "pairs": {
            f"{'pairs' if pairs else 'single segments'} of {length}": _made(shards, tokenizer, length, pairs)
            for length in LENGTHS
            for pairs in (True, False)
        },
    }


def _made(shards: Any, tokenizer: Any, length: int, pairs: bool) -> dict[str, Any]:
    """An epoch of sequences and their batches."""
    from dataclasses import asdict

    from polarbert.data.segment_pairs import PairSettings, PairStream

    stream = PairStream(shards, PairSettings(length, pairs), tokenizer.cls_id, tokenizer.sep_id, 32_768, seed=1)
    started = time.perf_counter()
    windows = [stream.window(0, number) for number in range(stream.windows_in_epoch)]
    batches = sum(len(window.batches) for window in windows)
    seconds = time.perf_counter() - started
    return {"seconds": seconds, "windows": len(windows), "batches": batches} | asdict(windows[0].summary())


def _documents(request: dict[str, Any]) -> Iterable[Any]:
    import texts
    from polarbert.data.corpus import read_documents

    return islice(read_documents([texts.data_directory() / "books" / "train.parquet"]), request["books"])


def _batches(texts: Sequence[str]) -> list[list[str]]:
    """Texts in order, `BATCH` characters together."""
    batches: list[list[str]] = [[]]
    size = 0
    for text in texts:
        if size >= BATCH:
            batches.append([])
            size = 0
        batches[-1].append(text)
        size += len(text)
    return batches


def _show(values: dict[str, Any]) -> None:
    for name, figures in values["contestants"].items():
        middle = {what: found["median"] for what, found in figures.items()}
        print(
            f"{name:<42} {middle['pieces_per_second']:>9,.0f} pieces/s  "
            f"{middle['share_of_fastest_tokenizers']:.0%} of the fastest tokenizers  "
            f"peak {middle['peak_bytes'] / 1e6:,.0f} MB"
        )
    for name, figures in values["pairs"].items():
        print(f"{name:<42} {figures['pieces_per_second']['median']:>9,.0f} pieces/s on one thread")


if __name__ == "__main__":
    main()
