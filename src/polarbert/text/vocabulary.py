"""Learning a WordPiece vocabulary from text (BERT, section 3; Wu et al. 2016), the same bytes on every run.

Words are counted first, in bounded memory, and pieces are learned from the counts: beginning with the characters, the
pair of neighbours that occurs most often becomes a new piece, until there are enough. This is what the trainer of the
`tokenizers` library does. It numbers the characters within words as a hash table happens to give them, and decides
between pairs of equal counts by those numbers. Here it gets them numbered, and so has no choice left.
"""

from __future__ import annotations

import json
import os
import shutil
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers

from polarbert.errors import DataError, UsageError
from polarbert.files import disk_errors, flush_to_disk
from polarbert.text.tokenizer import SPECIAL, WordPieceTokenizer

# As in BERT's own files. Their other 895 unused pieces, behind [MASK], are left out: in a vocabulary of 8,000 they
# would take more than a tenth of the places.
RESERVED = ("[PAD]", *(f"[unused{number}]" for number in range(99)), "[UNK]", "[CLS]", "[SEP]", "[MASK]")
LONGEST_WORD = 100  # characters; the tokenizer makes [UNK] of a longer one
MAX_WORDS = 1 << 20  # different words that are held
MAX_CHARACTERS = 1000  # different ones; the rarer ones become [UNK], and so do words that have one

_PENDING_WORDS, _PENDING_CHARACTERS, _LOOK = 1 << 19, 1 << 25, 1 << 23
_MAX_FED = 100_000_000  # words given to the trainer
_RUN = 4096  # words in one text given to the trainer
_UNKNOWN = "[UNK]"
_FILES = ("vocab.txt", "tokenizer_config.json", "tokenizer.json")  # the last is what is read first


@dataclass(frozen=True)
class WordCounts:
    """The words of a text, as the tokenizer sees them before it cuts them into pieces.

    Attributes:
        counts: how often each word occurs.
        overlong: how many words were longer than `LONGEST_WORD`.
        dropped: how many were rare words that there was no room to hold.
    """

    counts: Mapping[str, int]
    overlong: int = 0
    dropped: int = 0

    @property
    def total(self) -> int:
        """All words."""
        return sum(self.counts.values()) + self.overlong + self.dropped


@dataclass(frozen=True)
class Coverage:
    """How a vocabulary cuts the words it was learned from.

    Attributes:
        whole: share of the words that are one piece.
        unknown: share of the words that are [UNK].
        pieces_per_word: how many pieces a word has on average.
    """

    whole: float
    unknown: float
    pieces_per_word: float


def learn_vocabulary(
    texts: Iterable[str],
    size: int = 30522,
    cased: bool = False,
    strip_accents: bool | None = None,
    min_frequency: int = 2,
    max_characters: int = MAX_CHARACTERS,
) -> list[str]:
    """Learn a vocabulary of word pieces from texts, which are read once.

    Memory is bounded whatever the amount of text: at most `MAX_WORDS` different words are held, and when there are
    more, the rarest are dropped. The same texts give the same vocabulary; their order matters only where words are
    dropped.

    Args:
        texts: any number of texts of any length.
        size: most pieces of the vocabulary, the 104 reserved ones included.
        cased: keep capital letters apart from small ones.
        strip_accents: read é as e; None to do so in an uncased vocabulary, as BERT does.
        min_frequency: how often a pair must occur to become a piece.
        max_characters: most different characters; the rarest others are [UNK].

    Returns:
        The pieces in the order of their ids: `RESERVED`, characters, characters within a word (##a), then longer
        pieces in the order in which they were learned, from frequent to rare. There are fewer than `size` when no more
        pairs occur often enough.

    Raises:
        UsageError: when `size` has no room for the characters.
        DataError: when the texts hold no word.

    Example:
        >>> learn_vocabulary(["rain, rains and rainy rain"], size=130)[-1]
        'rain'
    """
    return train_pieces(count_words(texts, cased, strip_accents), size, min_frequency, max_characters)


def count_words(texts: Iterable[str], cased: bool = False, strip_accents: bool | None = None) -> WordCounts:
    """Count the words of texts; see `learn_vocabulary`.

    Example:
        >>> count_words(["So great, so so."]).counts
        {'so': 3, 'great': 1, ',': 1, '.': 1}
    """
    counter = _WordCounter(cased, strip_accents)
    for text in texts:
        counter.add(text)
    return counter.finish()


def train_pieces(
    words: WordCounts, size: int = 30522, min_frequency: int = 2, max_characters: int = MAX_CHARACTERS
) -> list[str]:
    """Learn the pieces from counted words; see `learn_vocabulary`.

    Example:
        >>> train_pieces(count_words(["so so"]), size=130)[104:]
        ['o', 's', '##o', '##s', 'so']
    """
    if not words.counts:
        raise DataError("the text holds no word, so there is nothing to learn. Give more text")
    characters = _characters(words, max_characters)
    inner = [f"##{character}" for character in characters if _can_go_on(character)]
    least = len(RESERVED) + len(characters) + len(inner)
    if size < least:
        raise UsageError(
            f"a vocabulary of {size:,} pieces is too small: {len(RESERVED)} are reserved, and "
            f"{least - len(RESERVED):,} are for the {len(characters):,} characters of the text. "
            f"Say --size {least:,} or more"
        )
    trainer = trainers.WordPieceTrainer(
        vocab_size=size - len(RESERVED),
        min_frequency=min_frequency,
        special_tokens=inner,  # numbered first, in this order
        initial_alphabet=characters,
        show_progress=False,
    )
    learner = Tokenizer(models.WordPiece(unk_token=_UNKNOWN))
    learner.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    learner.train_from_iterator(_fed(words, set(characters)), trainer)
    ids = learner.get_vocab()
    learned = sorted(ids.keys() - {*characters, *inner}, key=ids.__getitem__)
    return [*RESERVED, *characters, *inner, *learned]


def coverage(vocab: Sequence[str], words: WordCounts) -> Coverage:
    """How a vocabulary cuts counted words; those dropped for want of room are not looked at.

    Example:
        >>> words = count_words(["rain, rains and rainy rain"])
        >>> coverage(train_pieces(words, size=130), words).whole
        0.5
    """
    ids = {piece: number for number, piece in enumerate(vocab)}
    model = models.WordPiece(ids, unk_token=_UNKNOWN, max_input_chars_per_word=LONGEST_WORD)
    unknown = pieces = words.overlong
    whole = 0
    for word, count in words.counts.items():
        cut = model.tokenize(word)
        pieces += count * len(cut)
        if len(cut) == 1:
            whole += count * (cut[0].value != _UNKNOWN)
            unknown += count * (cut[0].value == _UNKNOWN)
    total = max(1, words.total - words.dropped)
    return Coverage(whole / total, unknown / total, pieces / total)


def save_vocabulary(
    vocab: Sequence[str], path: str | Path, cased: bool = False, strip_accents: bool | None = None
) -> WordPieceTokenizer:
    """Write a vocabulary as a directory that `WordPieceTokenizer` and `transformers.AutoTokenizer` open alike.

    A new directory appears whole. In one that is there the three files are replaced, and others left alone.

    Args:
        vocab: the pieces in the order of their ids.
        path: the directory, which is made.
        cased: as the vocabulary was learned.
        strip_accents: as the vocabulary was learned.

    Raises:
        BundleError: when a special piece is missing.
        DataError: when it cannot be written.

    Example:
        >>> save_vocabulary(learn_vocabulary(["so so"], size=130), "my-vocabulary").encode(["So so"])[0].ids
        [108, 108]
    """
    directory = Path(path)
    tokenizer = WordPieceTokenizer.from_vocab(vocab, lowercase=not cased, strip_accents=strip_accents)
    settings = {
        "tokenizer_class": "BertTokenizer",
        "do_lower_case": not cased,
        "strip_accents": strip_accents,
        "tokenize_chinese_chars": True,
        "model_max_length": 512,
        "clean_up_tokenization_spaces": False,
        **{f"{name.strip('[]').lower()}_token": name for name in SPECIAL},
    }
    contents = (
        "".join(f"{piece}\n" for piece in vocab),
        json.dumps(settings, indent=2) + "\n",
        tokenizer.backend.to_str(pretty=True) + "\n",
    )
    with disk_errors(str(directory), "Make room, or name another directory"):
        directory.parent.mkdir(parents=True, exist_ok=True)
        staging = Path(mkdtemp(prefix=f".{directory.name}.", suffix=".tmp", dir=directory.parent))
        try:
            _write_files(staging, dict(zip(_FILES, contents, strict=True)))
            _put(staging, directory)
        finally:
            shutil.rmtree(staging, ignore_errors=True)
    return tokenizer


def _write_files(folder: Path, contents: Mapping[str, str]) -> None:
    for name, content in contents.items():
        (folder / name).write_text(content, "utf-8", newline="\n")
        flush_to_disk(folder / name)


def _put(staging: Path, directory: Path) -> None:
    """Move the files to where they belong."""
    if directory.is_dir() and any(directory.iterdir()):
        for name in _FILES:
            os.replace(staging / name, directory / name)
        return
    if directory.is_dir():
        directory.rmdir()
    staging.chmod(0o777 & ~_umask())  # a temporary directory is for its owner alone
    os.replace(staging, directory)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


@dataclass
class _WordCounter:
    """Counts what stands between white space, and now and then cuts the different ones of these into words."""

    cased: bool
    strip_accents: bool | None
    words: Counter[str] = field(default_factory=Counter)
    overlong: int = 0
    dropped: int = 0
    _pending: Counter[str] = field(default_factory=Counter)
    _since: int = 0

    def add(self, text: str) -> None:
        """Count the words of a text."""
        self._pending.update(text.split())
        self._since += len(text)
        if self._since < _LOOK:
            return
        self._since = 0
        if len(self._pending) > _PENDING_WORDS or sum(map(len, self._pending)) > _PENDING_CHARACTERS:
            self._fold()

    def finish(self) -> WordCounts:
        """All that was counted."""
        self._fold()
        return WordCounts(dict(self.words), self.overlong, self.dropped)

    def _fold(self) -> None:
        normalize = normalizers.BertNormalizer(lowercase=not self.cased, strip_accents=self.strip_accents).normalize_str
        cut = pre_tokenizers.BertPreTokenizer().pre_tokenize_str
        for token, count in self._pending.items():
            sound = token if token.isascii() else token.encode("utf-8", "replace").decode("utf-8")
            for word, _ in cut(normalize(sound)):
                if len(word) > LONGEST_WORD:
                    self.overlong += count
                else:
                    self.words[word] += count
            if len(self.words) > MAX_WORDS:
                self._drop_rare()
        self._pending.clear()

    def _drop_rare(self) -> None:
        """Keep the more frequent half; between equal counts the spelling decides."""
        ranked = sorted(self.words.items(), key=lambda item: (-item[1], item[0]))
        self.words = Counter(dict(ranked[: MAX_WORDS // 2]))
        self.dropped += sum(count for _, count in ranked[MAX_WORDS // 2 :])


def _characters(words: WordCounts, most: int) -> list[str]:
    """The characters that become pieces, sorted; between equal counts the code point decides."""
    counts: Counter[str] = Counter()
    for word, count in words.counts.items():
        for character in word:
            counts[character] += count
    return sorted(sorted(counts, key=lambda character: (-counts[character], character))[:most])


def _can_go_on(character: str) -> bool:
    """True when the tokenizer does not make a word of it wherever it stands, as it does of punctuation and Chinese."""
    normal: Any = normalizers.BertNormalizer(lowercase=False).normalize_str(f"a{character}")
    return len(pre_tokenizers.BertPreTokenizer().pre_tokenize_str(normal)) == 1


def _fed(words: WordCounts, characters: set[str]) -> Iterator[str]:
    """Each word as often as it occurs, or as often as it would in a sample of the text that is not too large.

    A word with a character that is no piece is left out: the trainer would close the gap and count what is not there.
    """
    step = -(-words.total // _MAX_FED)
    for word in sorted(words.counts):
        count = words.counts[word]
        sampled = count // step + (zlib.crc32(word.encode("utf-8")) % step < count % step)
        if characters.issuperset(word):
            for start in range(0, sampled, _RUN):
                yield f"{word} " * min(_RUN, sampled - start)
