"""`polarbert fill-mask`: texts with [MASK] in, candidates out."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from tests.scoring_fixtures import Outcome

from polarbert.model import BertConfig, BertEncoder, BertForMaskedLM
from polarbert.text import WordPieceTokenizer
from polarbert.training.fill_mask import MaskFiller, put_piece

pytest_plugins = ["tests.scoring_fixtures"]

Command = Callable[..., Outcome]
FAVOURITES = {"good": 6.0, "great": 5.0, "##ing": 4.0}  # how far each is preferred to other pieces


@pytest.fixture(scope="module")
def model_dir(tmp_path_factory: pytest.TempPathFactory, tokenizer: WordPieceTokenizer) -> Path:
    """A random masked language model of 32 positions that likes a few pieces more than the others."""
    directory = tmp_path_factory.mktemp("masked") / "model"
    torch.manual_seed(0)
    model = BertForMaskedLM(BertConfig.tiny(vocab_size=tokenizer.vocab_size, max_position_embeddings=32))
    with torch.no_grad():
        for piece, liking in FAVOURITES.items():
            model.head.bias[tokenizer.backend.token_to_id(piece)] = liking
    model.save_pretrained(directory)
    tokenizer.save(directory)
    return directory


def test_candidates_come_with_probability_and_sentence(command: Command, model_dir: Path) -> None:
    ended = command("fill-mask", "--model", model_dir, "The  Film was [MASK].", "--top", "3")
    text, *candidates = ended.out.splitlines()
    assert (ended.code, ended.err) == (0, "")
    assert text == "The Film was [MASK]."
    assert [line.split()[1] for line in candidates] == ["good", "great", "##ing"]
    assert [line.split("%")[1].split(maxsplit=1)[1].strip() for line in candidates] == [
        "The Film was good.",
        "The Film was great.",
        "The Film wasing.",
    ]
    shares = [float(line.split("%")[0]) for line in candidates]
    assert shares == sorted(shares, reverse=True)
    assert shares[0] > 10


def test_several_masks_are_numbered(command: Command, model_dir: Path) -> None:
    lines = command("fill-mask", "-m", model_dir, "A [MASK] and [MASK] day", "-k", "1").out.splitlines()
    assert [line.split("  ")[-1].strip() for line in lines] == [
        "A [MASK] and [MASK] day",
        "mask 1 of 2",
        "A good and [MASK] day",
        "mask 2 of 2",
        "A [MASK] and good day",
    ]


def test_json_says_what_the_function_says(command: Command, model_dir: Path) -> None:
    texts = ["So [MASK] 😀", "[MASK] [MASK]"]
    ended = command("fill-mask", "-m", model_dir, *texts, "--json", "--top", "2")
    records = [json.loads(line) for line in ended.out.splitlines()]
    assert records == [answer.to_dict() for answer in MaskFiller.open(model_dir).fill(texts, 2)]
    assert [len(record["masks"]) for record in records] == [1, 2]
    assert "😀" in ended.out


@pytest.mark.parametrize("arguments", [[], ["-"]])
def test_lines_of_stdin_are_texts_and_one_without_a_mask_ends_nothing(
    command: Command, model_dir: Path, arguments: list[str]
) -> None:
    lines = b"so [MASK]\r\nno mask here\nvery [MASK]\n"
    plain = command("fill-mask", "-m", model_dir, "-k", "1", *arguments, stdin=lines)
    assert plain.code == 0
    assert [line for line in plain.out.splitlines() if not line.startswith("  ")] == ["so [MASK]", "very [MASK]"]
    assert plain.err == "stdin, line 2: has no [MASK]; write [MASK] where the word is missing\n"
    records = command("fill-mask", "-m", model_dir, "--json", *arguments, stdin=lines).out.splitlines()
    assert json.loads(records[1]) == {
        "text": "no mask here",
        "error": "has no [MASK]; write [MASK] where the word is missing",
    }
    assert [json.loads(records[number])["text"] for number in (0, 2)] == ["so [MASK]", "very [MASK]"]


def test_lines_without_any_mask_are_an_error(command: Command, model_dir: Path) -> None:
    ended = command("fill-mask", "-m", model_dir, "-", stdin=b"one\ntwo\n")
    assert (ended.code, ended.out) == (1, "")
    assert ended.err.splitlines()[-1].startswith("polarbert: stdin: no line has a [MASK]")
    assert command("fill-mask", "-m", model_dir, "-") == Outcome(0, "", "")


@pytest.mark.parametrize("text", ["no mask", "", "[mask]", "<mask>"])
def test_a_text_without_a_mask_is_told_how_to_write_it(command: Command, text: str) -> None:
    ended = command("fill-mask", "-m", "nowhere", "so [MASK]", text)
    assert (ended.code, ended.out) == (2, "")
    assert ended.err == f"polarbert: {text!r} has no [MASK]; write [MASK] where the word is missing\n"


def test_the_best_model_of_a_run_is_found(command: Command, model_dir: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    (run / "settings.json").write_text("{}", "utf-8")
    early = command("fill-mask", "-m", run, "so [MASK]")
    assert (early.code, early.out) == (1, "")
    assert f"{run}: a run that has no model yet" in early.err
    shutil.copytree(model_dir, run / "best")
    assert command("fill-mask", "-m", run, "so [MASK]") == command("fill-mask", "-m", model_dir, "so [MASK]")


def test_a_model_without_the_head_is_named_for_what_it_is(
    command: Command, tiny_model_dir: Path, tokenizer: WordPieceTokenizer, tmp_path: Path
) -> None:
    BertEncoder(BertConfig.tiny(vocab_size=tokenizer.vocab_size)).save_pretrained(tmp_path)
    tokenizer.save(tmp_path)
    for directory, kind in ((tiny_model_dir, "a classifier"), (tmp_path, "an encoder without such a head")):
        ended = command("fill-mask", "-m", directory, "so [MASK]")
        assert (ended.code, ended.out) == (1, "")
        assert f"{directory.name}: has no head for masked language modelling" in ended.err
        assert f"it is {kind}. polarbert pretrain" in ended.err
        assert "polarbert adapt" in ended.err


def test_no_such_folder_is_said_at_once(command: Command, tmp_path: Path) -> None:
    ended = command("fill-mask", "-m", tmp_path / "none", "so [MASK]")
    assert (ended.code, ended.out) == (1, "")
    assert f"{tmp_path / 'none'}: no such folder. Name one that polarbert pretrain or adapt made" in ended.err


def test_a_long_text_is_read_round_each_mask(command: Command, model_dir: Path) -> None:
    words = ["bad"] * 100
    words[3] = words[60] = words[99] = "[MASK]"
    ended = command("fill-mask", "-m", model_dir, " ".join(words), "-k", "1")
    assert ended.code == 0
    assert "(of 100 word pieces, 30 round each mask were read)" in ended.out
    answer = MaskFiller.open(model_dir).fill([" ".join(words)], 3)[0]
    assert (answer.pieces, answer.pieces_read, len(answer.masks)) == (100, 30, 3)
    middle = MaskFiller.open(model_dir).fill([" ".join(["bad"] * 15 + ["[MASK]"] + ["bad"] * 14)], 3)[0]
    for found, expected in zip(answer.masks[1], middle.masks[0], strict=True):
        assert found.probability == pytest.approx(expected.probability, abs=1e-6)
        assert found.text.split() == [*words[:60], *found.piece.split(), *words[61:]] or found.piece.startswith("##")


def test_company_changes_no_answer(model_dir: Path) -> None:
    texts = [f"{'so ' * number}[MASK] day" for number in range(20)]
    filler = MaskFiller.open(model_dir)
    for text, together in zip(texts, filler.fill(texts), strict=True):
        alone = filler.fill([text])[0]
        assert [c.piece for c in alone.masks[0]] == [c.piece for c in together.masks[0]]
        assert alone.masks[0][0].probability == pytest.approx(together.masks[0][0].probability, abs=1e-6)


def test_more_candidates_than_pieces_are_all_pieces(model_dir: Path, tokenizer: WordPieceTokenizer) -> None:
    candidates = MaskFiller.open(model_dir).fill(["so [MASK]"], top=10**6)[0].masks[0]
    assert len({candidate.piece for candidate in candidates}) == tokenizer.vocab_size
    assert sum(candidate.probability for candidate in candidates) == pytest.approx(1, abs=1e-4)


def test_only_the_mask_is_special_in_a_text(model_dir: Path) -> None:
    """[SEP] in a text is six characters; were it the piece, the text would be cut in two for the network."""
    filler = MaskFiller.open(model_dir)
    spelled, words = filler.fill(["so [SEP] [PAD] [MASK]", "so x [MASK]"])
    assert spelled.pieces > words.pieces + 4
    assert [mask[0].piece for mask in spelled.masks] == ["good"]


@pytest.mark.parametrize(
    ("text", "mask", "piece", "expected"),
    [
        ("It was [MASK] and [MASK].", 1, "fine", "It was [MASK] and fine."),
        ("work [MASK] [MASK]", 0, "##ing", "working [MASK]"),
        ("[MASK]", 0, "##ing", "ing"),
        ("a [MASK]", 0, "##", "a ##"),
    ],
)
def test_pieces_take_the_place_of_masks(text: str, mask: int, piece: str, expected: str) -> None:
    assert put_piece(text, mask, piece) == expected


def test_a_cased_model_is_given_the_text_as_it_is(vocab: list[str], tmp_path: Path) -> None:
    tokenizer = WordPieceTokenizer.from_vocab(vocab, lowercase=False)
    torch.manual_seed(0)
    BertForMaskedLM(BertConfig.tiny(vocab_size=len(vocab), initializer_range=0.2)).save_pretrained(tmp_path)
    tokenizer.save(tmp_path)
    (tmp_path / "tokenizer_config.json").unlink()
    upper, lower = MaskFiller.open(tmp_path).fill(["Great [MASK]", "great [MASK]"])
    assert upper.masks[0][0].probability != pytest.approx(lower.masks[0][0].probability, abs=1e-6)


def test_the_help_has_an_example_that_is_an_example(command: Command) -> None:
    ended = command("fill-mask", "--help")
    assert 'polarbert fill-mask --model my-run "The film was [MASK]."' in " ".join(ended.out.split())
    assert command("fill-mask", "so [MASK]").code == 2  # a model has to be named
