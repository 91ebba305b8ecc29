import numpy as np
import pandas as pd
import pytest

from fernet_neuro.exceptions import StimulusError
from fernet_neuro.stimuli.copies import check_copies_apart, find_copies
from fernet_neuro.stimuli.splits import Fold
from fernet_neuro.stimuli.table import StimulusTable


def table_of_files(folder, **contents):
    for name, content in contents.items():
        (folder / f"{name}.png").write_bytes(content)
    frame = pd.DataFrame({"stimulus_id": list(contents), "identity": [f"who {name}" for name in contents]})
    return StimulusTable.from_frame(frame.assign(path=frame["stimulus_id"] + ".png"), root=folder)


def test_copies_are_found_by_content_not_by_size_or_label(tmp_path):
    table = table_of_files(tmp_path, a=b"face", b=b"mask", c=b"face", d=b"faces", e=b"mask")
    assert find_copies(table).tolist() == [0, 1, 0, 2, 1]


def test_files_that_are_gone_count_by_their_recorded_content_or_stand_alone(tmp_path):
    frame = pd.DataFrame({"stimulus_id": list("abcd"), "path": "gone.png", "digest": ["x", "", "x", ""]})
    codes = find_copies(StimulusTable.from_frame(frame, root=tmp_path))
    assert codes[0] == codes[2]
    assert len(set(codes.tolist())) == 3


def test_a_picture_on_both_sides_of_a_fold_is_refused_whatever_its_name(tmp_path):
    table = table_of_files(tmp_path, a=b"one", b=b"two", c=b"six", d=b"one")
    check_copies_apart(table, [Fold("first", np.array([1, 2]), np.array([0, 3]))])
    with pytest.raises(StimulusError, match="'d' and 'a' are the same picture, and fold 'other'"):
        check_copies_apart(table, [Fold("other", np.array([2, 3]), np.array([0, 1]))])
