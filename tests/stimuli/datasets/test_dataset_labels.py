"""Counts against the published ones, and lists that say what is missing."""

import pandas as pd
import pytest

from fernet_neuro.exceptions import StimulusError
from fernet_neuro.stimuli.datasets.labels import (
    compare_counts,
    find_label,
    find_missing,
    label_by_folder,
    read_label_list,
)
from fernet_neuro.stimuli.datasets.report import ImportReport
from fernet_neuro.stimuli.table import StimulusTable


def make_report(expressions, notes=()) -> ImportReport:
    ids = [str(number) for number in range(len(expressions))]
    frame = pd.DataFrame({"stimulus_id": ids, "path": ids, "expression": expressions, "split": "train"})
    return ImportReport(StimulusTable.from_frame(frame), pd.DataFrame(columns=["path", "reason"]), notes)


@pytest.mark.parametrize(
    ("published", "notes"),
    [
        ({"train": {"fear": 2, "anger": 1}}, ("train: 3 stimuli, as published in every class",)),
        ({"train": 3}, ("train: 3 stimuli, as published",)),
        ({"train": {"fear": 1, "anger": 2}}, ("train: 3 stimuli; published: 3 (anger 1 of 2, fear 2 of 1)",)),
        (
            {"train": 4000, "test": 9},
            ("train: 3 stimuli; published: 4,000", "test: no stimuli; published: 9"),
        ),
    ],
)
def test_a_note_says_how_many_were_published(published, notes):
    report = compare_counts(make_report(["fear", "anger", "fear"], ("first",)), published)
    assert report.notes == ("first", *notes)


def test_a_list_keeps_order_and_reports_repeats(tmp_path):
    path = tmp_path / "list.txt"
    path.write_text("\ufeffb.jpg 2\n\na\\c.jpg\t1\r\nb.jpg 2\nmy face.jpg, 3\n", encoding="utf-8")
    found = read_label_list(path)
    assert list(found.labels.items()) == [("b.jpg", "2"), ("a/c.jpg", "1"), ("my face.jpg", "3")]
    assert list(found.lines.values()) == [1, 3, 5]
    assert found.repeats == [("b.jpg", "listed twice: line 4 repeats line 1")]
    assert str(found.fail("a/c.jpg", "why.")) == f"{path}, line 3: why."


def test_half_may_be_missing_and_no_more(tmp_path):
    assert find_missing(tmp_path, ["a", "b"], ["b", "z"], tmp_path) == [
        ("a", "missing: in the list but not on disk")
    ]
    with pytest.raises(
        StimulusError, match=r"2 of the 3 pictures that .*first: a\); unpack the pictures in full"
    ):
        find_missing(tmp_path, ["a", "b", "c"], ["b"], tmp_path)


def test_a_number_that_is_no_code_is_refused_and_a_word_is_not():
    assert find_label("2", {"2": "fear"}, ["fear"]) == "fear"
    assert find_label("Afraid", {"2": "fear"}, ["fear"]) == "fear"
    assert find_label("happy", {"2": "fear"}, ["fear"]) is None
    with pytest.raises(StimulusError, match=r"label 3 is none of the codes \(2 fear\)"):
        find_label("3", {"2": "fear"}, ["fear"])


def test_class_folders_are_one_deep(tmp_path):
    labelled, left_out = label_by_folder(
        tmp_path, ["fear/a.jpg", "a.jpg", "x/fear/b.jpg"], {}, ["fear"], "rename it"
    )
    assert labelled == [("fear/a.jpg", "fear")]
    assert [name for name, _ in left_out] == ["a.jpg", "x/fear/b.jpg"]
    with pytest.raises(
        StimulusError, match=r"class folder .*5: label 5 is none of the codes \(none\); rename it"
    ):
        label_by_folder(tmp_path, ["5/a.jpg"], {}, ["fear"], "rename it")
