"""Generated training text: shares nothing with the behaviour suite, is the same everywhere, balanced and varied."""

from __future__ import annotations

import re
import subprocess
import sys
from collections import Counter, defaultdict
from pathlib import Path

import pytest

import frames
from generated import Generated, check_disjoint, generate, generate_aspects, main, phenomena, sizes
from likeness import is_of_suite
from polarbert.behaviour import capabilities, skeletons, vocabulary
from polarbert.data.duplicates import clusters
from polarbert.data.labels import SENTIMENTS

COMMAND = Path(__file__).parents[1] / "recipes/embedded/generated.py"


@pytest.fixture(scope="module")
def texts() -> list[Generated]:
    return generate(3000, seed=1)


@pytest.fixture(scope="module")
def aspects() -> list[Generated]:
    return generate_aspects(1500, seed=1)


def as_words(text: str) -> str:
    """A text as the suite's skeletons have it: small letters, no marks."""
    return " ".join(re.sub(r"[^\w\s'-]", " ", text.lower()).split())


# ---- the suite stays unseen


def test_no_word_and_no_template_is_shared_with_the_suite() -> None:
    check_disjoint()


@pytest.mark.parametrize(
    ("what", "planted", "message"),
    [
        ("entries", "Superb", "the entry 'Superb' is one of the suite's lexicon 'good'"),
        ("entries", "a linen shirt", "'a linen shirt' holds 'linen shirt', an entry of the suite's 'thing'"),
        ("templates", "So lovely, this {thing}!", "holds 'lovely', an entry of the suite's 'good'"),
        ("templates", "Do I want my money back?", "holds 'i want my money back.', an entry of the suite's 'complaint'"),
        ("templates", "What {a grand} {thing}.", r"the skeleton 'what _ _' .* is one of the suite's"),
        ("templates", "The {thing} [is|has been] not {nice} at all.", "the skeleton 'the _ is not _ at all'"),
    ],
)  # fmt: skip
def test_the_check_names_what_is_shared(monkeypatch: pytest.MonkeyPatch, what: str, planted: str, message: str) -> None:
    monkeypatch.setattr(frames, what, lambda: [planted])
    with pytest.raises(ValueError, match=message):
        check_disjoint()


def test_no_text_equals_or_nearly_equals_one_of_the_suite(texts: list[Generated], aspects: list[Generated]) -> None:
    theirs = list(dict.fromkeys(case.texts[0] for one in capabilities() for case in one.cases))
    ours = list(dict.fromkeys(one.text for one in [*texts[:1500], *aspects[:300]]))
    numbers = clusters([*theirs, *ours]).tolist()
    known = set(numbers[: len(theirs)])
    assert [text for text, number in zip(ours, numbers[len(theirs) :], strict=True) if number in known] == []


def test_no_text_could_come_from_a_template_of_the_suite(texts: list[Generated]) -> None:
    gap = r"\S+(?: \S+){0,2}"
    written = [skeleton for skeleton in skeletons() if len(skeleton.replace("_", "").split()) >= 3]
    patterns = [" ".join(gap if word == "_" else re.escape(word) for word in each.split()) for each in written]
    found = re.compile(rf"(?:{'|'.join(patterns)})$")
    assert found.match("the pizza was not very nice")
    assert [one.text for one in texts if found.match(as_words(one.text))] == []


def test_no_text_holds_praise_or_blame_of_the_suite(texts: list[Generated], aspects: list[Generated]) -> None:
    polar = {entry for lexicon in vocabulary() if lexicon.polarity != "neutral" for entry in lexicon.entries}
    words = {f" {words} " for entry in polar - {"please"} if re.search(r"\w\w", words := as_words(entry))}
    assert len(words) > 250
    bare = [f" {as_words(one.text)} " for one in [*texts, *aspects]]
    assert [text for text in bare if any(word in text for word in words)] == []


def test_every_text_of_the_suite_is_known_for_one() -> None:
    ours = [case.texts[0] for one in capabilities() for case in one.cases]
    assert [text for text in ours if not is_of_suite(text)] == []
    assert [text for text in ours if as_words(text) and not is_of_suite(f"*{text.lower()} ~!")] == []


@pytest.mark.parametrize(
    "text", ["Femi and I agree: it was the real McCoy..", "The next best tea is not half as crisp.", "It is lovely 😃"]
)
def test_what_the_suite_could_hold_is_known_whatever_its_marks(text: str) -> None:
    assert is_of_suite(text)


def test_hardly_any_generated_text_is_taken_for_one_of_the_suite(texts: list[Generated]) -> None:
    assert sum(is_of_suite(one.text) for one in texts) <= 5


# ---- what a mix is like


def test_there_is_as_much_as_promised() -> None:
    assert len(phenomena()) >= 20
    assert len(frames.templates()) >= 1000
    assert len(set(frames.entries())) >= 3000
    assert sum(len(frame) for group in frames.aspect_frames().values() for frame in group.values()) >= 30
    said = "{templates:,} templates of {phenomena} phenomena and {entries:,} words".format(**sizes())
    assert said in (COMMAND.parent / "README.md").read_text("utf-8")
    for template in frames.templates():
        without_slots = re.sub(r"\{(?:a )?\w+(?:#\d)?\}", "", template)
        assert not re.search(r"[{}\[\]|]", re.sub(r"\[[^\[\]]*\|[^\[\]]*\]", "", without_slots))


def test_every_process_makes_the_same_texts(texts: list[Generated]) -> None:
    code = "import generated, hashlib; print(hashlib.sha256(repr(generated.generate(300, 2)).encode()).hexdigest())"
    runs = {
        subprocess.run([sys.executable, "-c", code], env={"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(sys.path)},
                       capture_output=True, text=True, check=True).stdout
        for seed in ("1", "2")
    }  # fmt: skip
    assert len(runs) == 1
    assert generate(300, seed=2) != generate(300, seed=3)
    assert generate(3000, seed=1) == texts


def test_texts_are_different_and_of_every_length(texts: list[Generated]) -> None:
    assert len({" ".join(one.text.lower().split()) for one in texts}) == 3000
    words = sorted(len(one.text.split()) for one in texts)
    assert words[0] <= 2
    assert 7 <= words[1500] <= 14
    assert 35 <= words[-1] <= 70
    assert all(one.text == one.text.strip() and one.text for one in texts)


def test_labels_and_phenomena_are_in_balance(texts: list[Generated]) -> None:
    assert [Counter(one.label for one in texts)[label] for label in SENTIMENTS] == pytest.approx([1000] * 3, abs=10)
    found = Counter(one.phenomenon for one in texts)
    whole = sum(one.weight for one in phenomena().values())
    assert dict(found) == pytest.approx({name: 3000 * one.weight / whole for name, one in phenomena().items()}, abs=3)


def test_weights_of_phenomena_and_labels_can_be_set() -> None:
    only = dict.fromkeys(phenomena(), 0.0) | {"facts": 1.0, "denied-blame": 3.0}
    assert Counter(one.phenomenon for one in generate(200, 1, only)) == {"facts": 50, "denied-blame": 150}
    made = generate(1000, 1, labels={"neutral": 2})
    assert Counter(one.label for one in made)["neutral"] == pytest.approx(500, abs=10)
    assert {one.label for one in generate(100, 1, labels={"neutral": 0})} == {"negative", "positive"}


@pytest.mark.parametrize(
    ("weights", "labels", "message"),
    [
        ({"denied-blam": 1.0}, {}, "there is no phenomenon 'denied-blam'; there are everyday, "),
        ({}, {"mixed": 1.0}, "there is no label 'mixed'; there are negative, neutral, positive"),
    ],
)
def test_an_unknown_name_is_refused(weights: dict[str, float], labels: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        generate(10, 1, weights, labels)


def test_more_than_the_templates_can_give_is_refused() -> None:
    only = dict.fromkeys(phenomena(), 0.0) | {"mock-praise": 1.0}
    few = frames.Family("few", "mock-praise", {"negative": ("How [nice|kind] of them.",)}, as_written=True)
    with pytest.MonkeyPatch.context() as patch:
        small = {**phenomena(), "mock-praise": frames.Phenomenon("mock-praise", "", 1.0, (few,))}
        patch.setattr(frames, "phenomena", lambda: small)
        assert len(generate(2, 1, only)) == 2
        with pytest.raises(ValueError, match="mock-praise: the templates give 2 different negative texts, not 3"):
            generate(3, 1, only)


def test_contrasts_differ_in_the_template_alone() -> None:
    only = dict.fromkeys(phenomena(), 0.0) | {"asked-and-answered": 1.0}
    asked: dict[str, set[tuple[str, str]]] = defaultdict(set)
    for one in generate(2000, 1, only):
        if match := re.fullmatch(r"(Is this .+ any good)\? (Yes!|No!|I can't tell\.)", one.text):
            asked[match[1]].add((match[2], one.label))
    answers = {("Yes!", "positive"), ("No!", "negative"), ("I can't tell.", "neutral")}
    assert set().union(*asked.values()) == answers
    judged = [found for found in asked.values() if len(found) > 1 or ("I can't tell.", "neutral") not in found]
    assert sum(len(found) > 1 for found in judged) >= 0.8 * len(judged) >= 8


def test_faces_alone_decide_where_the_words_are_the_same() -> None:
    only = dict.fromkeys(phenomena(), 0.0) | {"faces": 1.0}
    labels: dict[str, set[str]] = defaultdict(set)
    for one in generate(600, 1, only):
        labels[" ".join(re.findall(r"[\w':]*[a-z][\w':]*", one.text.lower()))].add(one.label)
    assert sum({"negative", "positive"} <= found for found in labels.values()) >= 100


# ---- aspects


def test_texts_about_two_aspects_have_their_verdicts(aspects: list[Generated]) -> None:
    by_text: dict[str, dict[str | None, str]] = defaultdict(dict)
    for one in aspects:
        by_text[one.text][one.aspect] = one.label
    assert len(by_text) == 500
    assert Counter(len(found) for found in by_text.values()) == {3: 500}
    verdicts = Counter(tuple(sorted(found.values())) for found in by_text.values())
    assert verdicts["negative", "neutral", "positive"] == pytest.approx(350, abs=10)
    assert set(verdicts) == {
        ("negative", "neutral", "positive"),
        ("negative", "negative", "neutral"),
        ("neutral", "positive", "positive"),
        ("neutral", "neutral", "neutral"),
    }


def test_what_is_said_of_an_aspect_fits_its_label(aspects: list[Generated]) -> None:
    ways = {"negative": "down", "positive": "up", "neutral": "fact"}
    said = {aspect.name: aspect.says for group in frames.aspects().values() for aspect in group}
    met = 0
    for one in aspects:
        assert one.aspect is not None
        for label, way in ways.items():
            for phrase in said[one.aspect][way]:
                if f"the {one.aspect} {phrase}".lower() in one.text.lower():
                    assert one.label == label, one
                    met += 1
    assert met >= 400


def test_the_command_prints_samples_and_checks(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for arguments in (["--phenomenon", "far-denial"], ["--aspects"], ["--check"]):
        monkeypatch.setattr(sys, "argv", [COMMAND.name, "--count", "6", *arguments])
        main()
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[1] for line in lines[:12]] == ["far-denial"] * 6 + ["two-aspects"] * 6
    assert {line.split()[0] for line in lines[:6]} == set(SENTIMENTS)
    assert lines[12].startswith(f"{{'phenomena': {len(phenomena())}, ")
