"""AffectNet in both distributions: codes from 0, 8 to 10 counted and left out, nothing ever unpickled."""

import csv
import pickle

import numpy as np
import pytest
from PIL import Image

from fernet_neuro.exceptions import StimulusError
from fernet_neuro.stimuli.datasets._npy import read_scalar
from fernet_neuro.stimuli.datasets.affectnet import PUBLISHED
from fernet_neuro.stimuli.datasets.registry import DATASETS

read_affectnet = DATASETS["affectnet"].read

HEADER = (
    "subDirectory_filePath", "face_x", "face_y", "face_width", "face_height", "facial_landmarks",
    "expression", "valence", "arousal",
)  # fmt: skip
LANDMARKS = ";".join(str(number) for number in range(136))
NAMES = ("neutral", "happiness", "sadness", "surprise", "fear", "disgust", "anger", "contempt")
# One picture of each of the codes 0 to 10, then another happy one.
CODES = (*range(11), 1)


def photograph(path, grey=110) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (43, 31), (grey, grey, grey)).save(path)


def make_row(name, code, valence="0.25", arousal="-0.5") -> list[str]:
    return [name, "4", "5", "38", "27", LANDMARKS, str(code), valence, arousal]


def write_csv(path, rows, header=HEADER) -> None:
    with path.open("w", newline="") as handle:
        csv.writer(handle).writerows([header, *rows])


def list_rows() -> list[list[str]]:
    rows = [make_row(f"{700 + number % 2}/hash{number:02d}.jpg", code) for number, code in enumerate(CODES)]
    for row in rows:
        if int(row[6]) > 7:
            row[7:] = ["-2", "-2"]
    rows[3][7:] = ["-2", "-2"]
    return rows


@pytest.fixture
def old(tmp_path):
    rows = list_rows()
    validation = [make_row("9/val1.png", 7, "-0.625", "0.5"), make_row("9/val2.jpg", 6, "-1", "1")]
    for number, row in enumerate((*rows, *validation)):
        photograph(tmp_path / "Manually_Annotated_Images" / row[0], grey=40 + number)
    write_csv(tmp_path / "training.csv", rows)
    write_csv(tmp_path / "validation.csv", validation)
    return tmp_path


def save_annotation(folder, name, code, valence="0.25", arousal="-0.5") -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for kind, value in (("exp", code), ("val", valence), ("aro", arousal)):
        np.save(folder / f"{name}_{kind}.npy", np.array(value))


@pytest.fixture
def new(tmp_path):
    for number, code in enumerate((0, 1, 7, 4, 3)):
        part = tmp_path / ("train_set" if number < 4 else "val_set")
        photograph(part / "images" / f"{number}.jpg", grey=40 + number)
        save_annotation(part / "annotations", str(number), str(code))
        np.save(part / "annotations" / f"{number}_lnd.npy", np.zeros(136))
    return tmp_path


def get_labels(report) -> dict[str, str]:
    return dict(
        zip(report.table.stimulus_ids.tolist(), report.table.factor("expression").tolist(), strict=True)
    )


def get_kinds(report) -> dict[str, str]:
    return {row.path.rpartition("/")[2]: row.reason.partition(":")[0] for row in report.left_out.itertuples()}


def test_old_codes_become_names_and_those_of_no_expression_are_counted(old):
    report = read_affectnet(old)
    wanted = {
        f"{700 + number % 2}/hash{number:02d}": NAMES[code] for number, code in enumerate(CODES) if code < 8
    }
    assert get_labels(report) == {**wanted, "9/val1": "contempt", "9/val2": "anger"}
    assert report.count_reasons() == {"none (code 8)": 1, "uncertain (code 9)": 1, "no face (code 10)": 1}
    assert all(path.is_file() for path in report.table.paths())
    frame = report.table.frame.set_index("stimulus_id")
    assert frame["split"].value_counts().to_dict() == {"train": 9, "val": 2}
    assert frame.loc["701/hash01", "native_code"] == 1
    assert frame.loc["9/val1", ["face_x", "face_y", "face_width", "face_height"]].tolist() == [4, 5, 38, 27]


def test_undefined_valence_and_arousal_are_empty(old):
    frame = read_affectnet(old).table.frame.set_index("stimulus_id")
    assert np.isnan(frame.loc["701/hash03", "valence"])
    assert np.isnan(frame.loc["701/hash03", "arousal"])
    assert frame.loc["9/val1", ["valence", "arousal"]].tolist() == [-0.625, 0.5]
    assert frame.loc["9/val2", ["valence", "arousal"]].tolist() == [-1.0, 1.0]


@pytest.mark.parametrize("distribution", ["old", "new"])
def test_seven_classes_leave_contempt_out(distribution, request):
    source = request.getfixturevalue(distribution)
    eight, seven = read_affectnet(source), read_affectnet(source, classes=7)
    kept = {name: label for name, label in get_labels(eight).items() if label != "contempt"}
    assert get_labels(seven) == kept
    lost = len(eight.table) - len(kept)
    assert lost > 0
    assert seven.count_reasons()["contempt (classes=7)"] == lost
    assert "contempt" in eight.notes[0]
    assert "contempt" not in seven.notes[0]


def test_the_owners_totals_are_those_published():
    train = PUBLISHED["train"]
    assert sum(train.values()) == 287651
    assert sum(train.values()) - train["contempt"] == 283901
    assert sum(PUBLISHED["val"].values()) == 4000


def test_a_subset_is_compared_with_what_was_published(old):
    train, val = read_affectnet(old).notes
    assert train.startswith("train: 9 stimuli; published: 287,651 (anger 1 of 24,882,")
    assert val.startswith("val: 2 stimuli; published: 4,000 (anger 1 of 500, contempt 1 of 500, disgust 0 of")
    assert "published: 283,901" in read_affectnet(old, classes=7).notes[0]


def test_lists_may_lie_in_a_folder_of_their_own_and_one_is_enough(old):
    whole = read_affectnet(old).table
    (old / "Manually_Annotated_file_lists").mkdir()
    for name in ("training.csv", "validation.csv"):
        (old / name).rename(old / "Manually_Annotated_file_lists" / name)
    assert read_affectnet(old).table == whole
    (old / "Manually_Annotated_file_lists" / "training.csv").unlink()
    report = read_affectnet(old)
    assert report.table.stimulus_ids.tolist() == ["9/val1", "9/val2"]
    assert report.count_reasons() == {"not in validation.csv": 12}
    (old / "Manually_Annotated_file_lists" / "validation.csv").unlink()
    with pytest.raises(StimulusError, match=r"holds neither training\.csv nor validation.csv"):
        read_affectnet(old)


def test_faults_of_the_old_distribution_are_left_out_with_the_reason(old):
    rows = list_rows()
    rows += [
        rows[0],
        make_row("701/hash01.jpg", 2),
        make_row("700/far.jpg", 1, "1.5"),
        make_row("../x.jpg", 1),
    ]
    images = old / "Manually_Annotated_Images"
    photograph(images / "700" / "far.jpg")
    photograph(images / "700" / "extra.jpg")
    photograph(old / "x.jpg")
    (images / "700" / "hash02.jpg").unlink()
    (images / "700" / "hash04.jpg").write_bytes(b"\xff\xd8\xff")
    write_csv(old / "training.csv", rows)
    report = read_affectnet(old, verify=True)
    kinds = get_kinds(report)
    assert kinds["hash00.jpg"] == "listed twice"
    assert kinds["hash01.jpg"] == "two labels"
    assert kinds["far.jpg"] == "odd valence"
    assert kinds["extra.jpg"] == "not in training.csv or validation.csv"
    assert kinds["x.jpg"] == "missing"
    assert kinds["hash02.jpg"] == "missing"
    assert kinds["hash04.jpg"] == "unreadable"
    labels = get_labels(report)
    assert labels["700/hash00"] == "neutral"
    assert not {"701/hash01", "700/hash02", "700/hash04", "700/far", "700/extra"} & set(labels)
    assert len(labels) == 8


def test_a_folder_that_lacks_most_pictures_is_refused(old):
    for number in range(6):
        (old / "Manually_Annotated_Images" / f"{700 + number % 2}/hash{number:02d}.jpg").unlink()
    with pytest.raises(
        StimulusError, match=r"6 of the 9 pictures that .*training.csv names are not in .*unpack"
    ):
        read_affectnet(old)


@pytest.mark.parametrize(
    ("header", "row", "message"),
    [
        (
            HEADER[1:],
            make_row("7/a.jpg", 1)[1:],
            r"line 1: the header has no 'subDirectory_filePath'; it is: face_x",
        ),
        (
            (*HEADER[:6], "expresion", *HEADER[7:]),
            make_row("7/a.jpg", 1),
            "no 'expression'.*mean 'expresion'",
        ),
        (make_row("7/b.jpg", 1), make_row("7/a.jpg", 1), "line 1: the header has no 'subDirectory_filePath'"),
        (HEADER, make_row("7/a.jpg", 11), "line 2: expression must be 0 to 10; got '11'"),
        (HEADER, make_row("7/a.jpg", -1), "line 2: expression must be 0 to 10; got '-1'"),
        (HEADER, make_row("7/a.jpg", "happy"), "line 2: expression must be a number; got 'happy'"),
        (HEADER, make_row("7/a.jpg", "nan"), "line 2: expression must be 0 to 10; got 'nan'"),
        (HEADER, make_row("7/a.jpg", 1, "high"), "line 2: valence must be a number; got 'high'"),
        (HEADER, make_row("7/a.jpg", 1)[:-1], r"line 2: expected 9 fields \(7/a.jpg\)"),
        (HEADER, [*make_row("7/a.jpg", 1), "x"], r"line 2: expected 9 fields \(7/a.jpg\)"),
    ],
)
def test_a_malformed_csv_is_explained(header, row, message, old):
    write_csv(old / "training.csv", [row], header)
    with pytest.raises(StimulusError, match=message):
        read_affectnet(old)


def test_a_csv_that_is_no_text_is_refused(old):
    (old / "training.csv").write_bytes(b"\xff\xfe\x81\x00")
    with pytest.raises(StimulusError, match=r"training.csv cannot be read as a CSV file"):
        read_affectnet(old)


def test_the_new_distribution_is_read(new):
    report = read_affectnet(new)
    assert get_labels(report) == {
        "train/0": "neutral", "train/1": "happiness", "train/2": "contempt", "train/3": "fear",
        "val/4": "surprise",
    }  # fmt: skip
    assert report.left_out.empty
    assert set(report.table.factor("valence")) == {0.25}
    assert set(report.table.factor("arousal")) == {-0.5}
    assert report.table.factor("split").tolist() == ["train"] * 4 + ["val"]
    assert all(path.is_file() for path in report.table.paths())
    assert read_affectnet(new, n_jobs=3).table == report.table


def test_numbers_may_be_stored_as_text_or_as_numbers(new):
    folder = new / "train_set" / "annotations"
    save_annotation(folder, "0", np.int64(5), np.float32(-2), np.float64(-2))
    save_annotation(folder, "1", ["6"], "-2.0", "-2")
    frame = read_affectnet(new).table.frame.set_index("stimulus_id")
    assert frame.loc[["train/0", "train/1"], "expression"].tolist() == ["disgust", "anger"]
    assert frame.loc[["train/0", "train/1"], ["valence", "arousal"]].isna().to_numpy().all()


def test_annotations_that_cannot_be_read_are_left_out_and_never_unpickled(new, tmp_path):
    folder = new / "train_set" / "annotations"
    (folder / "0_exp.npy").write_bytes(b"\x93NUMPY\x01\x00")
    marker = tmp_path / "unpickled"

    class Trap:
        def __reduce__(self):
            return (marker.write_text, ("x",))

    np.save(folder / "1_exp.npy", np.array([Trap()], dtype=object), allow_pickle=True)
    marker.unlink(missing_ok=True)
    (folder / "2_val.npy").write_bytes(pickle.dumps(Trap()))
    save_annotation(folder, "3", "12")
    report = read_affectnet(new)
    assert get_labels(report) == {"val/4": "surprise"}
    assert report.count_reasons() == {"unreadable annotation": 3, "label outside the codes": 1}
    assert not marker.exists()
    # The trap is a real one: whoever unpickles it springs it.
    pickle.loads((folder / "2_val.npy").read_bytes())
    assert marker.exists()


def test_missing_pictures_and_annotations_are_reported(new):
    part = new / "train_set"
    (part / "images" / "0.jpg").unlink()
    (part / "annotations" / "1_exp.npy").unlink()
    (part / "annotations" / "2_val.npy").unlink()
    report = read_affectnet(new)
    assert get_kinds(report) == {"0.jpg": "missing", "1.jpg": "no annotation"}
    frame = report.table.frame.set_index("stimulus_id")
    assert np.isnan(frame.loc["train/2", "valence"])
    assert frame.loc["train/2", "arousal"] == -0.5
    for number in (2, 3):
        (part / "images" / f"{number}.jpg").unlink()
    with pytest.raises(StimulusError, match=r"3 of the 3 pictures that .*annotations names are not in"):
        read_affectnet(new)


def test_neither_and_both_distributions_are_refused(old, new, tmp_path):
    with pytest.raises(StimulusError, match="holds both: Manually_Annotated_Images"):
        read_affectnet(tmp_path)  # the two fixtures share the folder
    (tmp_path / "none").mkdir()
    with pytest.raises(StimulusError, match="holds neither: Manually_Annotated_Images"):
        read_affectnet(tmp_path / "none")
    with pytest.raises(ValueError, match="classes must be >= 7 and <= 8; got 6"):
        read_affectnet(tmp_path, classes=6)


def test_no_damaged_file_of_one_number_breaks_the_reader(tmp_path, rng):
    path = tmp_path / "a.npy"
    np.save(path, np.array("3"))
    sound = path.read_bytes()
    refused = 0
    for trial in range(600):
        damaged = bytearray(sound[: rng.integers(1, len(sound)) if trial % 2 else None])
        for place in rng.integers(0, len(damaged), 2):
            damaged[place] = rng.integers(0, 256)
        path.write_bytes(damaged)
        try:
            assert isinstance(read_scalar(path), float)
        except StimulusError:
            refused += 1
    assert refused > 300  # all files cut short, and no other error ever


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (np.zeros(3), r"a.npy holds float64 \(3,\) instead of one number"),
        (np.array("none"), "a.npy holds text that is not a number"),
        (np.array(np.nan), "a.npy holds nan instead of a finite number"),
        (np.array(True), r"a.npy holds bool \(\) instead"),
        (np.zeros(4000), "a.npy is not a .npy file of one number"),
    ],
)
def test_what_is_not_one_number_is_refused(value, message, tmp_path):
    np.save(tmp_path / "a.npy", value)
    with pytest.raises(StimulusError, match=message):
        read_scalar(tmp_path / "a.npy")
