"""FERPlus: votes joined to pictures by row, never by names; rules against slow, obvious ones."""

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fernet_neuro.exceptions import StimulusError
from fernet_neuro.stimuli.datasets import _ferplus_files
from fernet_neuro.stimuli.datasets._ferplus_votes import ANSWERS, RULES
from fernet_neuro.stimuli.datasets.ferplus import EXPRESSIONS, PUBLISHED
from fernet_neuro.stimuli.datasets.registry import DATASETS

read_ferplus = DATASETS["ferplus"].read

#: The owners' headings.
HEADER = "Usage,Image name,neutral,happiness,surprise,sadness,anger,disgust,fear,contempt,unknown,NF"
# Part, name, votes. The names lag behind the rows, as the owners' do after a row without a face.
ROWS = [
    ("Training", "fer0000000.png", (5, 4, 0, 1, 0, 0, 0, 0, 0, 0)),
    ("Training", "", (0, 0, 0, 0, 0, 0, 0, 0, 0, 10)),
    ("Training", "fer0000001.png", (0, 0, 0, 0, 4, 4, 2, 0, 0, 0)),
    ("Training", "fer0000002.png", (1, 2, 0, 0, 0, 0, 0, 0, 7, 0)),
    ("PublicTest", "fer0000003.png", (0, 0, 8, 0, 0, 0, 2, 0, 0, 0)),
    ("PrivateTest", "fer0000004.png", (0, 0, 0, 0, 0, 0, 0, 9, 0, 1)),
    ("PrivateTest", "fer0000005.png", (0, 0, 0, 0, 0, 0, 0, 0, 0, 10)),
]
FOLDERS = {"Training": "FER2013Train", "PublicTest": "FER2013Valid", "PrivateTest": "FER2013Test"}


def choose_slowly(votes, rule) -> str | None:
    """Return the label of one picture by the rule as its words say it."""
    ballot = dict(zip(ANSWERS, votes, strict=True))
    if rule == "majority":
        ballot = {answer: count for answer, count in ballot.items() if count >= 2}
        best = max(ballot, key=ballot.__getitem__, default=None)
        return best if best and ballot[best] > 0.5 * sum(ballot.values()) else None
    if rule == "emotions":
        del ballot["unknown"], ballot["no face"]
    best = max(ballot, key=ballot.__getitem__)  # the first of several
    return best if ballot[best] else None


def grey(row) -> int:
    return 20 + 5 * row


def write_votes(path, rows, header=HEADER) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [f"{usage},{name},{','.join(map(str, votes))}" for usage, name, votes in rows]
    path.write_text("\n".join([header, *lines]) + "\n")


def write_pixels(path, usages) -> None:
    rows = [f"0,{' '.join([str(grey(row))] * 2304)},{usage}" for row, usage in enumerate(usages)]
    path.write_text("\n".join(["emotion,pixels,Usage", *rows]) + "\n")


def write_folders(root, rows) -> None:
    for usage, folder in FOLDERS.items():
        lines = [
            f'{name},"(0, 0, 48, 48)",{",".join(map(str, votes))}'
            for part, name, votes in rows
            if part == usage and name
        ]
        (root / folder).mkdir(parents=True, exist_ok=True)
        (root / folder / "label.csv").write_text("\n".join(lines) + "\n")


@pytest.fixture
def src(tmp_path):
    write_votes(tmp_path / "src" / "fer2013new.csv", ROWS)
    write_pixels(tmp_path / "src" / "fer2013.csv", [usage for usage, _, _ in ROWS])
    write_folders(tmp_path / "src" / "data", ROWS)
    return tmp_path / "src"


@pytest.fixture
def read(src, tmp_path):
    return lambda **options: read_ferplus(src, pictures=tmp_path / "pictures", **options)


def get_labels(report) -> dict[str, str]:
    return dict(zip(report.table.stimulus_ids, report.table.factor("expression"), strict=True))


def get_reasons(report) -> dict[str, str]:
    return dict(report.left_out.itertuples(index=False))


def show_greys(report) -> dict[str, int]:
    greys = {}
    for name, path in zip(report.table.stimulus_ids, report.table.paths(), strict=True):
        with Image.open(path) as image:
            greys[str(name)] = image.getpixel((0, 0))
    return greys


@pytest.mark.parametrize("rule", RULES)
def test_rules_agree_with_a_slow_one_on_all_kinds_of_votes(rule, rng):
    shares = rng.dirichlet(np.full(10, 0.3), size=3000)
    votes = rng.multinomial(10, shares)
    votes[:20] = rng.integers(0, 2, (20, 10))  # single votes only, and none at all
    votes[20] = 0
    choose, _ = RULES[rule]
    found = [ANSWERS[answer] if answer >= 0 else None for answer in choose(votes).tolist()]
    assert found == [choose_slowly(row, rule) for row in votes.tolist()]
    # Ties and missing labels do occur, and no rule is another.
    assert len({tuple(other(votes).tolist()) for other, _ in RULES.values()}) == 3
    assert None in found


def test_rows_are_joined_by_their_place_and_not_by_their_names(read):
    report = read()
    assert get_labels(report) == {
        "train/row00000": "neutral",
        "val/row00004": "surprise",
        "test/row00005": "contempt",
    }
    assert show_greys(report) == {f"{part}/row{row:05d}": grey(row) for part, row in
                                  (("train", 0), ("val", 4), ("test", 5))}  # fmt: skip
    frame = report.table.frame
    assert frame["image_name"].tolist() == ["fer0000000.png", "fer0000003.png", "fer0000004.png"]
    assert frame["native_code"].tolist() == [0, 2, 7]
    votes = frame[[name for name in frame if name.startswith("votes_")]]
    assert votes.columns[-1] == "votes_no_face"
    assert votes.to_numpy().tolist() == [list(ROWS[row][2]) for row in (0, 4, 5)]
    assert set(frame["label_file"] + " " + frame["label_rule"]) == {"fer2013new.csv majority"}


def test_what_has_no_label_is_left_out_with_the_reason(read):
    assert get_reasons(read()) == {
        "train/row00001.png": "no usable face: without a picture name",
        "train/row00002.png": "no majority",
        "train/row00003.png": "labelled unknown",
        "test/row00006.png": "labelled no face",
    }
    assert get_labels(read(rule="most")) == {**get_labels(read()), "train/row00002": "anger"}
    emotions = read(rule="emotions")
    assert get_labels(emotions) == {**get_labels(read(rule="most")), "train/row00003": "happiness"}
    assert get_reasons(emotions)["test/row00006.png"] == "no vote for an expression"


def test_counts_by_rule_add_up_to_the_known_totals():
    def total(file, rule) -> list[int]:
        parts = PUBLISHED[file, rule].values()
        return [part if isinstance(part, int) else sum(part.values()) for part in parts]

    assert total("fer2013new.csv", "majority") == [25060, 3199, 3153]
    assert total("label.csv", "majority") == [25045, 3191, 3137]
    assert sum(total("label.csv", "majority")[:2]) == 28236
    assert total("fer2013new.csv", "most") == [28389, 3553, 3546]
    assert total("fer2013new.csv", "emotions") == [28559, 3579, 3573]
    assert list(EXPRESSIONS.values()) == list(PUBLISHED["label.csv", "majority"]["test"])


def test_the_guide_states_the_counts_of_each_file_and_rule():
    guide = (Path(__file__).parents[3] / "docs" / "guide.md").read_text(encoding="utf-8")
    rows = re.findall(
        r"^\| `(\S+)` \| `(\w+)` \|.*\| ([\d,]+) \| ([\d,]+) \| ([\d,]+) \|$", guide, re.MULTILINE
    )
    assert {row[:2]: [int(count.replace(",", "")) for count in row[2:]] for row in rows} == {
        key: [part if isinstance(part, int) else sum(part.values()) for part in parts.values()]
        for key, parts in PUBLISHED.items()
    }


def test_a_note_compares_with_the_counts_of_the_same_file_and_rule(read):
    assert read().notes[0].startswith("train: 1 stimuli; published: 25,060 (anger 0 of 2,100,")
    assert read(labels="label.csv").notes[0].startswith("train: 1 stimuli; published: 25,045 (")
    assert read(rule="most").notes[0] == "train: 2 stimuli; published: 28,389"
    assert read(rule="most", labels="label.csv").notes == ()  # nobody has counted


def test_labels_of_the_folders_find_their_pictures_by_name(src, read):
    others = [(usage, name, (0, 0, 0, 9, 0, 0, 0, 0, 1, 0)) for usage, name, _ in ROWS]
    write_folders(src / "data", others)
    report = read(labels="label.csv")
    ids = [
        "train/row00000",
        "train/row00002",
        "train/row00003",
        "val/row00004",
        "test/row00005",
        "test/row00006",
    ]
    assert get_labels(report) == dict.fromkeys(ids, "sadness")
    assert show_greys(report) == {name: grey(int(name[-5:])) for name in ids}
    assert set(report.table.factor("label_file")) == {"label.csv"}
    assert report.left_out.empty


def test_one_name_for_two_rows_is_only_taken_where_it_is_known_whose_it_is(src, read, monkeypatch):
    rows = [*ROWS, ("PrivateTest", "fer0000004.png", (9, 0, 0, 0, 0, 0, 0, 0, 1, 0))]
    write_votes(src / "fer2013new.csv", rows)
    write_pixels(src / "fer2013.csv", [usage for usage, _, _ in rows])
    report = read(labels="label.csv")
    assert get_reasons(report)["FER2013Test/fer0000004.png"] == "two pictures of one name"
    assert get_labels(read())["test/row00007"] == "neutral"  # by row, names do not matter
    monkeypatch.setattr(_ferplus_files, "MISNAMED", {0, 7})  # row 0 has a name of its own and keeps it
    known = get_labels(read(labels="label.csv"))
    assert known == {"train/row00000": "neutral", "val/row00004": "surprise", "test/row00005": "contempt"}


def test_pictures_in_the_folders_are_taken_as_they_are(src):
    (src / "fer2013.csv").unlink()
    (src / "fer2013new.csv").unlink()
    for row, (usage, name, _) in enumerate(ROWS):
        if name:
            Image.new("L", (48, 48), grey(row)).save(src / "data" / FOLDERS[usage] / name)
    Image.new("L", (48, 48)).save(src / "data" / "FER2013Test" / "fer0000099.png")
    (src / "data" / "FER2013Valid" / "fer0000003.png").unlink()
    with (src / "data" / "FER2013Train" / "label.csv").open("a") as handle:
        handle.write('fer0000001.png,"(0, 0, 48, 48)",0,9,0,0,0,0,0,0,1,0\n')
        handle.write('fer0000000.png,"(0, 0, 48, 48)",5,4,0,1,0,0,0,0,0,0\n')
    report = read_ferplus(src, labels="label.csv")
    assert get_labels(report) == {"train/fer0000000": "neutral", "test/fer0000004": "contempt"}
    assert show_greys(report) == {"train/fer0000000": grey(0), "test/fer0000004": grey(5)}
    assert report.count_reasons() == {"two labels": 2, "listed twice": 1, "missing": 1, "not in label.csv": 1,
                                      "labelled unknown": 1, "labelled no face": 1}  # fmt: skip
    assert read_ferplus(src / "data", labels="label.csv").table == report.table


def test_without_fer2013_the_place_to_get_it_is_said(src, read):
    (src / "fer2013.csv").unlink()
    with pytest.raises(
        StimulusError, match=r"holds no fer2013\.csv, whose pictures .*offered at https://www.kag"
    ):
        read()
    with pytest.raises(StimulusError, match=r"holds no fer2013\.csv"):
        read_ferplus(src)  # before a folder for pictures is asked for


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda usages: usages[:-1], r"fer2013\.csv has 6 rows and .*fer2013new\.csv has 7; .*row by row"),
        (lambda usages: [*usages[:3], "PublicTest", *usages[4:]], r"row 3 \(from 0\) is in the part val of"),
    ],
)
def test_files_that_do_not_go_together_are_refused(change, message, src, tmp_path, read):
    write_pixels(src / "fer2013.csv", change([usage for usage, _, _ in ROWS]))
    with pytest.raises(StimulusError, match=message):
        read()
    assert not (tmp_path / "pictures").exists()


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (
            ("Training", "a.png", (11, *ROWS[0][2][1:])),
            "line 2: votes must be whole numbers from 0 to 10; got '11'",
        ),
        (
            ("Training", "a.png", ("x", *ROWS[0][2][1:])),
            "line 2: votes must be whole numbers from 0 to 10; got 'x'",
        ),
        (("Train", "a.png", ROWS[0][2]), "line 2: Usage must be one of Training, .*; got 'Train'"),
        (("Training", "a.png", ROWS[0][2][1:]), "line 2: expected 12 fields"),
    ],
)
def test_a_malformed_row_is_named(row, message, src, read):
    write_votes(src / "fer2013new.csv", [row])
    with pytest.raises(StimulusError, match=message):
        read()


def test_other_mistakes_are_explained(src, read):
    with pytest.raises(
        ValueError, match=r"rule='majorty' is not known; use one of: majority, most, emotions"
    ):
        read(rule="majorty")
    with pytest.raises(ValueError, match=r"labels='labels\.csv' is not known"):
        read(labels="labels.csv")
    (src / "fer2013new.csv").unlink()
    with pytest.raises(StimulusError, match=r"holds no file fer2013new\.csv"):
        read()
    for folder in FOLDERS.values():
        (src / "data" / folder / "label.csv").unlink()
    with pytest.raises(StimulusError, match=r"holds no label\.csv; looked for: data/FER2013Train/label\.csv"):
        read(labels="label.csv")
