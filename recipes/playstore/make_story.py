"""Makes docs/playstore.md and its pictures from recipes/playstore/results.json.

    python recipes/playstore/make_story.py

A test compares them with what this makes, so no figure can be typed in.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import pictures
from figures import read_results
from pictures import BLUE, GREY, ORANGE, Dots, Series
from polarbert.data.labels import SENTIMENTS
from reviews import ROOT

PAGE = "playstore.md"
README = ROOT / "recipes/playstore/README.md"
START, STOP = "<!-- made by make_story.py -->\n", "<!-- end -->\n"
TUTORIALS = 0.883  # on a random split, after ten passes with a network five times as large
GOAL = 0.02
COLUMNS = 120
Figures = Mapping[str, Any]

GROUPS = {
    "exact": "stands in the training part",
    "near": "stands there nearly so",
    "new_repeated": "does not, but repeats elsewhere",
    "new_once": "stands once in the collection",
}
NETWORKS = {
    "plain": "public encoder, tuned on reviews",
    "embedded": "embedded model as it is",
    "tuned": "embedded model, tuned on reviews",
}

HEAD = """\
# The play-store reviews: a figure and what it is worth

Many tutorials on BERT train a sentiment classifier on the same collection of app reviews and report an accuracy
of {tutorials:.1%}. This page does that again, and then finds out how much of the figure is real. Every number
comes from a command in `recipes/playstore`; `python recipes/playstore/make_story.py` makes the page from what
they found. The embedded model here is its second edition; figures of the one in this version are on its card.
"""


def main() -> None:
    """Write the page and its pictures."""
    results = read_results()
    (ROOT / "docs" / PAGE).write_text(page(results), "utf-8")
    for name, drawn in drawings(results).items():
        (ROOT / "docs" / name).write_text(drawn, "utf-8")
    before, _, rest = README.read_text("utf-8").partition(START)
    README.write_text(before + START + costs(results) + STOP + rest.partition(STOP)[2], "utf-8")


def page(results: Figures) -> str:
    """The page in Markdown."""
    sections = (
        ("Look first", "explore", explore_section),
        ("What a random split pretends", "leak", leak_section),
        ("An honest figure", "honest", honest_section),
        ("Three stars, and what neutral means", "domain", domain_section),
    )
    parts = [HEAD.format(tutorials=TUTORIALS), short_version(results)]
    for title, name, section in sections:
        parts.append(f"## {title}\n")
        if name in results:
            parts += [section(results), _made_by(results[name])]
        else:
            parts.append(f"Not measured yet. `python recipes/playstore/{name}.py` does it.\n")
    return wrapped("\n".join([*parts, END]))


def costs(results: Figures) -> str:
    """What each command costs and comes to, as a table in Markdown."""
    rows = [["`explore.py`", "nothing", "", "1 min", _outcome(results, "explore")]] if "explore" in results else []
    trained = {"leak": "2 networks", "honest": "11 networks", "domain": "1 network"}
    for name, what in trained.items():
        if name in results:
            pieces, minutes = (_total(results[name]["cost"], unit) for unit in ("pieces", "minutes"))
            outcome = _outcome(results, name)
            rows.append([f"`{name}.py`", what, f"{pieces / 1e6:.1f} M", f"{minutes:.0f} min", outcome])
    return _table(["command", "trains", "word pieces", "time", "comes to"], rows, numbers=(2, 3))


def _outcome(results: Figures, name: str) -> str:
    found = results[name]
    if name == "explore":
        repeating, leaking = 1 - found["different"]["letters"] / found["rows"], 1 - found["random"]["90/5/5"]["new"]
        return f"{repeating:.0%} of the rows repeat a text; {leaking:.0%} of a random test part leaks"
    if name == "leak":
        share = found["share"]
        return f"{share['shown']:.1%} on a random split, {100 * share['leak']:.1f} points of it leak"
    if name == "honest":
        plain, tuned = (found[part]["accuracy"]["mean"] for part in ("plain", "tuned"))
        return f"{plain:.1%} from the public encoder, {tuned:.1%} from the embedded model"
    val = found["tweets"]["val"]["accuracy"]["mean"]
    return f"taught by tweets, {val:.1%} on reviews"


def _total(cost: Figures, unit: str) -> float:
    parts = [cost] if unit in cost else cost.values()
    return float(sum(part[unit] for part in parts))


def wrapped(text: str) -> str:
    """The same page with paragraphs and points filled up to `COLUMNS`; tables, headings, pictures and code stay."""
    blocks = []
    for block in re.split(r"\n{2,}", text.strip("\n")):
        if block.startswith(("|", "#", "!", "```")):
            blocks.append(block)
        else:
            points = re.split(r"\n(?=- )", block)
            blocks.append("\n".join(_filled(point, "  " if point.startswith("- ") else "") for point in points))
    return "\n\n".join(blocks) + "\n"


def drawings(results: Figures) -> dict[str, str]:
    """The pictures by name of file; those of what was not measured are left out."""
    drawn: dict[str, str] = {}
    if "explore" in results:
        drawn["playstore-lengths.svg"] = draw_lengths(results["explore"])
    if "leak" in results:
        drawn["playstore-passes.svg"] = draw_passes(results["leak"])
        drawn["playstore-repeats.svg"] = draw_repeats(results["leak"])
    if "honest" in results and "domain" in results:
        drawn["playstore-seeds.svg"] = draw_seeds(results)
        drawn["playstore-confusion.svg"] = draw_confusion(results)
    return drawn


def short_version(results: Figures) -> str:
    """The figures that matter, in one table."""
    rows = [["tutorials, random split, ten passes", f"{TUTORIALS:.1%}", "no"]]
    if "leak" in results:
        leak = results["leak"]
        again = f"the same done here, {leak['passes']} passes with a smaller network"
        rows.append([again, _share(leak["random"]["last"]["accuracy"]), "no"])
        rows.append(
            ["the same network and rows, leak-free split", _share(leak["leak_free"]["last"]["accuracy"]), "yes"]
        )
    if "honest" in results:
        for name, words in NETWORKS.items():
            found = results["honest"][name]["accuracy"]
            seeds = f", mean of {len(found['values'])} seeds" if len(found["values"]) > 1 else ""
            rows.append([f"{words}{seeds}", f"{found['mean']:.1%}", "yes"])
    return _table(["", "accuracy", "tests what it claims"], rows, numbers=(1,))


# --- 1 ---


def explore_section(results: Figures) -> str:
    """What the collection is like."""
    found = results["explore"]
    rows, different = found["rows"], found["different"]
    lengths, at_random = found["pieces"], found["random"]
    repeated = sum(found["repeated"].values())
    given = found["without_repeats"]["of_val_in_train"]
    table = [
        [name, f"{found['classes'][name]:,}", f"{found['once'][name]:,}", f"{found['repeated'][name]:,}"]
        for name in SENTIMENTS
    ]
    split_rows = [
        [name.replace("/", " / "), f"{shares['exact']:.1%}", f"{shares['near']:.1%}", f"{shares['new']:.1%}"]
        for name, shares in at_random.items()
    ]
    return f"""\
The collection as it was scraped has {rows:,} rows. One and two stars count as negative, three as neutral, four
and five as positive. The number of stars is known for {found["stars"]["known"]:,} rows, and agrees with the
class in {found["stars"]["as_labelled"]:,} of them.

{_table(["class", "rows", "text stands once", "text repeats"], table, numbers=(1, 2, 3))}
Texts are short: {lengths["mean"]:.0f} word pieces on average, {lengths["p90"]:.0f} or fewer in nine of ten, at most
{lengths["longest"]:,}.

![How many reviews have which length](playstore-lengths.svg)

Then the surprise: **the {rows:,} rows hold {different["as_written"]:,} texts.**
{1 - different["as_written"] / rows:.0%} of the rows repeat another letter by letter. Without case, blanks and
punctuation {different["letters"]:,} texts are left, and counting nearly equal ones as one (80% of their runs of
five letters in common) {different["clusters"]:,}. It looks like two scrapes put one after the other:
{found["copies"]["twice"]:,} rows have a text that occurs just twice, {found["copies"]["more"]:,} one that
occurs more often, up to {found["copies"]["most"]} times. Repeated texts are not like the others:
{_percent(found["repeated"]["neutral"], repeated)} of them are neutral, and of those that stand once
{_percent(found["once"]["neutral"], sum(found["once"].values()))}.

{found["contradictions"]["as_written"]} texts carry more than one label letter by letter,
{found["contradictions"]["letters"]} when case, blanks and punctuation do not count. Nobody can be right on all
of these, but they are few.

What this does to a random split (means of {at_random["80/10/10"]["seeds"]} splits):

{_table(["train / dev / test", "test rows exact in train", "nearly", "not at all"], split_rows, numbers=(1, 2, 3))}
The same reviews are also published with one row a text, in two parts. Even these are not quite apart:
{given["exact"]} texts of the second part stand in the first but for case, blanks or punctuation, and
{given["near"]} more nearly. They are taken out below.
"""


def draw_lengths(found: Figures) -> str:
    """How long reviews are."""
    bins = [(f"{part['above'] + 1}-{part['up_to']}", part["rows"]) for part in found["pieces"]["bins"]]
    return pictures.columns("Most reviews are short", "length in word pieces, [CLS] and [SEP] included", bins)


# --- 2 ---


def leak_section(results: Figures) -> str:
    """What repeats in the test part add."""
    leak = results["leak"]
    leaky, clean, share = leak["random"], leak["leak_free"], leak["share"]
    first, last = leaky["curve"][0], leaky["curve"][-1]
    rows = [
        [words, *(_group(part["last"]["groups"].get(name)) for part in (leaky, clean))]
        for name, words in GROUPS.items()
    ]
    rows.append(["**all of the test part**", *(_interval(part["last"]["accuracy"]) for part in (leaky, clean))])
    best = max(range(leak["passes"]), key=lambda number: clean["curve"][number]["all"])
    return f"""\
The same network, the public encoder of `recipes/embedded`, is trained in the same way twice: texts cut to
{leak["train_pieces"]} pieces, {leak["settings"]["batch_tokens"]:,} pieces to a batch, a peak rate of
{leak["settings"]["learning_rate"]:g}. The only difference is how rows were dealt out:

- **random split**: {leaky["train"]:,} rows to learn from, {leaky["test"]:,} that judge, drawn row by row as
  tutorials do;
- **leak-free split** (`make_splits`, what `polarbert train` does): {clean["train"]:,} and {clean["test"]:,}
  rows, a text and all that is nearly the same always on one side. A text judges once: {clean["left_out"]:,}
  rows that would judge it again are left out.

After each of the {leak["passes"]} passes the test part is judged. It chooses nothing.

![Accuracy after each pass on both splits](playstore-passes.svg)

The random split climbs from {first["all"]:.1%} to {last["all"]:.1%}. On test texts that stand in its training
part the network goes from {first["exact"]:.1%} to {last["exact"]:.1%}, which is remembering: it has
{last["seen"]:.1%} of its training rows right by then. Without the leak it is best after pass {best + 1}, at
{clean["curve"][best]["all"]:.1%}, and ends at {clean["curve"][-1]["all"]:.1%}.

{_table(["a test row whose text ...", "random split", "leak-free split"], rows, numbers=(1, 2))}
Accuracy after the last pass, its interval (95%), and the number of rows.

![What the leak does to texts that repeat and to those that stand once](playstore-repeats.svg)

Texts that repeat are harder than those that stand once, so comparing the two parts of one test set would say
too little. Weighing the leak-free figures of both kinds of text as the random test part does gives what it
would have shown without the leak: {share["without_leak"]:.1%}. It shows {share["shown"]:.1%}.
**{100 * share["leak"]:.1f} points of {share["shown"]:.1%} are leak**, with {share["in_train"]:.0%} of the test
rows in the training part.

{by_heart(results)}An earlier measurement, on a test part that is kept apart and is not in this repository, found
the same shape: 68% for a plain fine-tune of this base, and 78% when it had two passes over rows that repeat the
test (62 to 77 on the repeated texts, 77 to 80 on the others).
"""


def by_heart(results: Figures) -> str:
    """What a network shows in the tutorials' split when it knows all training texts by heart and is no better else."""
    if "explore" not in results:
        return ""
    shares, groups = results["explore"]["random"]["90/5/5"], results["leak"]["random"]["last"]["groups"]
    new = [groups[name] for name in ("new_repeated", "new_once") if name in groups]
    right = sum(group["value"] * group["rows"] for group in new) / sum(group["rows"] for group in new)
    shown = shares["exact"] + shares["near"] + shares["new"] * right
    return f"""\
The figure of the tutorials needs no better network than this one. In a 90 / 5 / 5 split {1 - shares["new"]:.0%}
of the test rows stand in the training part. Whoever has all of those right by heart, and of the others as many
as the network here ({right:.1%}), shows {shown:.1%}.

"""


def draw_passes(leak: Figures) -> str:
    """Accuracy after each pass."""
    leaky, clean = leak["random"]["curve"], leak["leak_free"]["curve"]
    series = [
        Series("tutorials", [TUTORIALS], GREY, dashed=True),
        Series("test texts also in train", [line["exact"] for line in leaky], ORANGE, dashed=True),
        Series("random split, all", [line["all"] for line in leaky], ORANGE),
        Series("leak-free split", [line["all"] for line in clean], BLUE),
    ]
    return pictures.curves("Learning the test by heart", "passes over the training part", series, (0.5, 1.0), 0.1)


def draw_repeats(leak: Figures) -> str:
    """The leak by kind of text."""
    leaky, clean = (leak[name]["last"]["groups"] for name in ("random", "leak_free"))
    groups = {
        "Texts that repeat": {
            "in the training part": leaky["exact"]["value"],
            "not in the training part": clean["new_repeated"]["value"],
        },
        "Texts that stand once": {
            "random split": leaky["new_once"]["value"],
            "leak-free split": clean["new_once"]["value"],
        },
    }
    colours = {
        "in the training part": ORANGE,
        "random split": ORANGE,
        "not in the training part": BLUE,
        "leak-free split": BLUE,
    }
    return pictures.bars("The leak lifts what it leaks", groups, colours, "Accuracy after the last pass.")


# --- 3 ---


def honest_section(results: Figures) -> str:
    """Five seeds, two bases."""
    found = results["honest"]
    parts, gain, alone = found["parts"], found["gain"], found["gain_of_embedded"]
    rows = [
        [
            NETWORKS[name],
            _spread(found[name]["accuracy"]),
            _spread(found[name]["macro_f1"]),
            *(f"{found[name]['recall'][label]:.1%}" for label in SENTIMENTS),
        ]
        for name in NETWORKS
    ]
    seeds = [
        [str(number), *(f"{found[name]['accuracy']['values'][number - 1]:.1%}" for name in ("plain", "tuned")), change]
        for number, change in enumerate((f"{100 * value:+.1f}" for value in gain["values"]), 1)
    ]
    reached = "reached" if gain["mean"] >= GOAL else "**not reached**"
    return f"""\
Learned from: {parts["train"]:,} reviews of the part `train` with one row a text. {parts["dev"]:,} more, which
share no text with them, choose the best of {found["settings"]["plain"]["evaluations"]} evaluations of a run.
Judged by: all {parts["val"]:,} reviews of the part `val`, once, at the end. {parts["left_out"]} reviews of
`train` that repeat one of `val` are left out, and `find_leaks` finds nothing of
what chooses or judges in what is learned from.

![Accuracy of each seed](playstore-seeds.svg)

{_table(["", "accuracy", "macro-F1", *(f"recall {label}" for label in SENTIMENTS)], rows, numbers=range(1, 6))}
Behind ± stands the standard deviation over seeds. By seed:

{_table(["seed", "public encoder", "embedded model as base", "points"], seeds, numbers=(1, 2, 3))}
The embedded model as base is {_points(gain)} more accurate than the public encoder. The goal, set in advance,
was {100 * GOAL:.0f} points: {reached}. As it is, with no training on top, the embedded model is
{_points(alone)} more accurate than the public encoder tuned on these reviews. The intervals are about other
reviews like these: they come from drawing the {parts["val"]:,} rows anew, and {parts["val"]:,} rows are few.

What to keep in mind:

- The embedded model has learned from `train` before, among 150,000 other texts. It has never learned from
  `val`, but `val` was one of six parts by which its makers chose among its evaluations, so its own figure may
  be a little too good. The public encoder has seen neither.
- For the same reason the {parts["dev"]:,} reviews that choose are no strangers to the embedded model. Networks that
  start from it have {found["dev"]["tuned"]["mean"]:.1%} of them right, and {found["tuned"]["accuracy"]["mean"]:.1%}
  of `val`: a leak again, and one that no split can find, because it is in the base. So each of these runs is judged
  once, at the end of {found["settings"]["tuned"]["epochs"]:g} pass, and nothing is chosen. (From the public encoder:
  {found["dev"]["plain"]["mean"]:.1%} and {found["plain"]["accuracy"]["mean"]:.1%}, the best of
  {found["settings"]["plain"]["evaluations"]} evaluations.)
- The embedded model as it is answers with its int8 graph, the others with the network as it was trained.
- Settings were fixed beforehand: texts cut to {found["train_pieces"]} pieces in training and read up to 256
  when judged; {found["settings"]["plain"]["epochs"]:g} passes at a peak rate of
  {found["settings"]["plain"]["learning_rate"]:g} for the public encoder,
  {found["settings"]["tuned"]["epochs"]:g} at {found["settings"]["tuned"]["learning_rate"]:g} for the embedded
  model.
{own_model(found)}"""


def own_model(found: Figures) -> str:
    """The same as a user does it."""
    if "bundle" not in found:
        return ""
    bundle = found["bundle"]
    return f"""
### The same as one command does it

`polarbert train` (from Python `FineTuning`) does all of this in one go and ends with a bundle that scores: the parts
checked for leaks, training from the embedded model, the int8 graph, calibration, and the test part judged. On the same
parts, seed 1, its bundle has {_interval(bundle["accuracy"])} on `val`, with an expected calibration error of
{bundle["ece"]:.3f}. {_calibration_words(bundle)}
"""


def _calibration_words(bundle: Figures) -> str:
    return (
        f"Its answers are {bundle['confidence']:.1%} sure on average and {bundle['accuracy']['value']:.1%} right: the "
        "temperature was fitted on reviews that the embedded model had learned from before, which labels of one's own "
        "are not."
        if bundle["confidence"] - bundle["accuracy"]["value"] > 0.05
        else f"Its answers are {bundle['confidence']:.1%} sure on average."
    )


def draw_seeds(results: Figures) -> str:
    """Each seed as a dot."""
    honest, tweets = results["honest"], results["domain"]["tweets"]["val"]
    rows = [
        Dots("public encoder, tuned on tweets", tweets["accuracy"]["values"], GREY),
        Dots(NETWORKS["plain"], honest["plain"]["accuracy"]["values"], ORANGE),
        Dots(NETWORKS["embedded"], honest["embedded"]["accuracy"]["values"], BLUE),
        Dots(NETWORKS["tuned"], honest["tuned"]["accuracy"]["values"], BLUE),
    ]
    values = [value for row in rows for value in row.values]
    low, high = int(min(values) * 20) / 20, (int(max(values) * 20) + 1) / 20
    note = "A dot is one training run; the bar is their mean. Accuracy on playstore/val."
    return pictures.dot_rows("Honest accuracy", rows, (low, high), 0.05, note)


# --- 4 ---


def domain_section(results: Figures) -> str:
    """Reviews and tweets."""
    domain, honest = results["domain"], results["honest"]
    cells = []
    for taught, words in (("tweets", "tweets"), ("reviews", "reviews")):
        for judged, on in (("tweets", "tweets"), ("val", "reviews")):
            figures_of = domain[taught][judged]
            recall = figures_of["recall"]
            cells.append(
                [words, on, f"{figures_of['accuracy']['mean']:.1%}", *(f"{recall[n]:.1%}" for n in SENTIMENTS)]
            )
    best = max(("embedded", "tuned", "plain"), key=lambda name: honest[name]["accuracy"]["mean"])
    share = {name: domain["shares"][name][1] for name in ("val", "tweets")}
    said = {name: _answered(domain[name]["val"], 1) for name in ("tweets", "reviews")}
    lost = _answers(honest[best], 1)
    return f"""\
The public encoder, taught by {domain["learned"]["tweets"]:,} tweets instead of {domain["learned"]["reviews"]:,}
reviews, in the same way:

{_table(["taught by", "judged on", "accuracy", *(f"recall {n}" for n in SENTIMENTS)], cells, numbers=range(2, 6))}
Taught by tweets it loses {_drop(domain["reviews"]["val"], domain["tweets"]["val"])} points on reviews, taught by
reviews it loses {_drop(domain["tweets"]["tweets"], domain["reviews"]["tweets"])} on tweets; most of it where
neutral borders on the rest. The network that knows tweets alone calls {said["tweets"]:.0%} of the reviews neutral,
the one that knows reviews {said["reviews"]:.0%}; {share["val"]:.0%} have three stars. The other way round,
{_answers(domain["reviews"]["tweets"], 2)[1]:.0%} of the positive tweets pass for neutral: many are milder than a
review of four or five stars. Among tweets neutral is the absence of an opinion: news, appointments, questions.
Among reviews it is three stars, and few of those are without an opinion: they praise one thing and blame another,
ask for a feature, or report a fault, and some read like one star or like five.

![Where the answers go](playstore-confusion.svg)

Three stars stay the hard part for the best of the networks above (the {NETWORKS[best]}). Of the reviews with
three stars it calls {lost[0]:.0%} negative and {lost[2]:.0%} positive, and finds {lost[1]:.0%}. Confusing
negative with positive, the error that would matter most, is rare: {_opposite(honest[best]["confusion"]):.1%} of
all reviews.
"""


def draw_confusion(results: Figures) -> str:
    """Where the answers of two networks go."""
    honest = results["honest"]
    best = max(("embedded", "tuned", "plain"), key=lambda name: honest[name]["accuracy"]["mean"])
    counts = {
        "taught by tweets": results["domain"]["tweets"]["val"]["confusion"],
        NETWORKS[best]: honest[best]["confusion"],
    }
    return pictures.tables("What becomes of reviews of each kind", SENTIMENTS, counts)


END = """\
## With your own reviews

```console
$ polarbert train reviews.csv --text-column review --label-column stars -o my-model
```

It takes stars or any labels, makes parts that share no text, saves them beside the model, and says what it left
out. If you bring your own parts, it says how much of the test part stands in the training part. Believe a
figure when you know how its test part came about.
"""


def _answered(figures_of: Figures, column: int) -> float:
    table = figures_of["confusion"]
    return float(sum(row[column] for row in table) / sum(map(sum, table)))


def _answers(figures_of: Figures, label: int) -> list[float]:
    """The share of each answer to the texts of a class."""
    row = figures_of["confusion"][label]
    return [count / sum(row) for count in row]


def _opposite(table: Sequence[Sequence[int]]) -> float:
    return (table[0][2] + table[2][0]) / sum(map(sum, table))


def _drop(at_home: Figures, abroad: Figures) -> str:
    return f"{100 * (at_home['accuracy']['mean'] - abroad['accuracy']['mean']):.1f}"


def _points(gain: Figures) -> str:
    return f"{100 * gain['mean']:+.1f} points (interval {100 * gain['low']:+.1f} to {100 * gain['high']:+.1f})"


def _spread(values: Figures) -> str:
    more = f" ± {100 * values['deviation']:.1f}" if len(values["values"]) > 1 else ""
    return f"{values['mean']:.1%}{more}"


def _percent(part: int, whole: int) -> str:
    return f"{part / whole:.0%}"


def _share(estimate: Figures) -> str:
    return f"{estimate['value']:.1%}"


def _interval(estimate: Figures) -> str:
    return f"{estimate['value']:.1%} ({estimate['low']:.1%} to {estimate['high']:.1%})"


def _group(group: Figures | None) -> str:
    return f"{_interval(group)}, {group['rows']:,}" if group else "none"


def _made_by(part: Figures) -> str:
    return f"Made by `{part['command']}` on {part['date']} with Polarbert {part['polarbert']}.\n"


def _filled(text: str, indent: str) -> str:
    return textwrap.fill(
        " ".join(text.split()), COLUMNS, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )


def _table(head: Sequence[str], rows: Sequence[Sequence[str]], numbers: Sequence[int]) -> str:
    """A Markdown table; columns of numbers are right-aligned."""
    rule = ["---:" if column in numbers else "---" for column in range(len(head))]
    lines = [head, rule, *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


if __name__ == "__main__":
    main()
