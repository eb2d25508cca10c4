"""The suite as a whole: what it covers, that it is the same everywhere, and that its texts are well made."""

from __future__ import annotations

import re
import subprocess
import sys
from collections import Counter

import pytest

from polarbert.behaviour import Capability, Kind, capabilities, digest, families, skeletons, vocabulary
from polarbert.behaviour.lexicon import topics
from polarbert.data.labels import SENTIMENTS
from polarbert.errors import UsageError

NAMES = [one.name for one in capabilities()]
NEUTRAL_CHANGES = {"neutral-words", "urls-handles-hashtags"}


def every_text() -> list[str]:
    return [text for one in capabilities() for text in one.texts]


def test_the_suite_is_as_large_as_promised() -> None:
    assert len(NAMES) == len(set(NAMES)) >= 25
    assert 5_000 <= sum(len(one.cases) for one in capabilities()) <= 12_000


def test_every_process_makes_the_same_cases() -> None:
    code = "from polarbert.behaviour import capabilities, digest; print(digest(capabilities()))"
    runs = [
        subprocess.run([sys.executable, "-c", code], env={"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(sys.path)},
                       capture_output=True, text=True, check=True).stdout.strip()
        for seed in ("1", "2")
    ]  # fmt: skip
    assert runs == [digest(capabilities())] * 2


def test_the_digest_shows_any_change_of_a_case() -> None:
    one = capabilities(["case"])[0]
    without_last = Capability(one.name, one.group, one.kind, one.description, one.limit, one.cases[:-1])
    assert digest([one]) != digest([without_last])


def test_every_case_is_there_once() -> None:
    cases = Counter(case.texts for one in capabilities() for case in one.cases)
    assert [texts for texts, count in cases.items() if count > 1] == []


@pytest.mark.parametrize("one", capabilities(), ids=NAMES)
def test_a_capability_is_whole(one: Capability) -> None:
    assert len(one.cases) >= 100
    assert one.example
    assert one.description.endswith(".")
    assert "\n" not in one.description
    if one.limit is not None:
        assert one.limit == (0.02 if one.group == "groups" or one.name in NEUTRAL_CHANGES else 0.05)
    for case in one.cases:
        assert bool(case.expected) == (one.kind is Kind.MINIMUM_FUNCTIONALITY)
        assert (case.forbidden in ("fall", "rise")) == (one.kind is Kind.DIRECTION)
        assert set(case.expected) < set(SENTIMENTS)
        texts = len(case.texts)
        assert (
            texts == 1 if one.kind in (Kind.MINIMUM_FUNCTIONALITY, Kind.UNSURE) else texts == len(set(case.texts)) > 1
        )
        assert texts == 2 or one.kind is not Kind.DIRECTION


def test_what_the_user_cannot_rely_on_is_reported_only() -> None:
    assert {one.name for one in capabilities() if one.limit is None} == {one.name for one in capabilities(["implicit"])}


def test_no_slot_is_left_open() -> None:
    assert [text for text in every_text() if re.search(r"[{}\[\]|]", text)] == []


def test_articles_and_capitals_are_right() -> None:
    english = [one for one in capabilities() if one.group != "confidence"]
    plain = [text for one in english for case in one.cases for text in case.texts[:1]]
    assert [text for text in plain if re.search(r"\b[Aa] [aeio]", text)] == []
    assert [text for text in plain if re.search(r"\b[Aa]n [^aeiouAEIOUhH]", text)] == []
    assert [text for text in plain if re.match(r"[a-z]", text) or re.search(r"[.?!] [a-z]", text)] == []


def test_every_template_can_be_filled() -> None:
    assert [
        (family.name, text) for family in families() for text in family.templates if not family.topics_of(text)
    ] == []


def test_every_template_of_an_expectation_is_used() -> None:
    used = {case.family for one in capabilities() for case in one.cases}
    assert {family.name for family in families()} == used


def test_no_entry_has_two_polarities() -> None:
    polarity: dict[str, set[str]] = {}
    for lexicon in vocabulary():
        assert len(lexicon.entries) == len(set(lexicon.entries)), lexicon.name
        for entry in lexicon.entries:
            polarity.setdefault(entry.lower(), set()).add(lexicon.polarity)
    assert {entry: found for entry, found in polarity.items() if len(found) > 1} == {}


def test_every_lexicon_has_one_polarity_in_all_topics() -> None:
    assert len({(lexicon.name, lexicon.polarity) for lexicon in vocabulary()}) == len({x.name for x in vocabulary()})
    assert {lexicon.topic for lexicon in vocabulary()} == {None, *topics()}


def test_vocabulary_and_skeletons_find_what_a_text_shares_with_the_suite() -> None:
    entries = {entry for lexicon in vocabulary() for entry in lexicon.entries}
    assert {"superb", "mushroom risotto", "Aisha", "😍"} <= entries
    assert {"the _ was not _", "the _ wasn't _", "i used to _ this _ but now i _ it"} <= skeletons()
    assert "_ _" not in skeletons()


def test_capabilities_are_chosen_by_name_and_by_group_in_the_order_of_the_suite() -> None:
    chosen = [one.name for one in capabilities(["typos", "temporal"])]
    assert chosen == ["used-to-but-now", "change-over-time", "typos"]


@pytest.mark.parametrize(
    ("name", "near"), [("negated-postive", "negated-positive"), ("Sarcasm!", "sarcasm"), ("tempo", "temporal")]
)
def test_an_unknown_name_is_answered_with_the_nearest(name: str, near: str) -> None:
    with pytest.raises(UsageError, match=rf"no capability or group {name!r}; did you mean .*{near}"):
        capabilities([name])


def test_a_name_like_no_other_is_answered_with_all() -> None:
    with pytest.raises(UsageError, match=r"there are sentiment-words, .*, other-languages"):
        capabilities(["qqqqqq"])
