import json
import re
from dataclasses import replace
from functools import partial

import nibabel
import numpy as np
import pandas as pd
import pytest

from fernet_neuro.brain import images
from fernet_neuro.brain.derivatives import start_derivatives
from fernet_neuro.brain.group import infer_group
from fernet_neuro.brain.pipeline import PatternSettings
from fernet_neuro.brain.rois import parse_roi
from fernet_neuro.brain.spheres import build_neighbourhoods
from fernet_neuro.brain.volumes import VolumePatterns
from fernet_neuro.rsa.distances import compute_rdms
from fernet_neuro.rsa.rdms import RDMSet, concat_rdms
from fernet_neuro.rsa.searchlight.folder import (
    SearchlightSettings,
    SubjectMaps,
    label_models,
    write_subject_maps,
)
from fernet_neuro.rsa.searchlight.group import combine_maps, infer_maps, search_volume
from fernet_neuro.rsa.searchlight.search import search_patterns
from fernet_neuro.stats.calibration import false_positive_rate

AFFINE = np.array([[-3.0, 0, 0, 48], [0, 3.0, 0, -60], [0, 0, 3.0, -24], [0, 0, 0, 1]])
SHAPE = (7, 8, 6)
N_VOXELS = 336
CENTRE = (2, 3, 3)
#: Of the planted geometry; the noise has 1.
SIGNAL = 1.0


@pytest.fixture
def mask():
    return np.ones(SHAPE, dtype=bool)


@pytest.fixture
def geometry(rng, ids):
    """Three dimensions that are planted in everyone, and their RDM beside one of nothing."""
    shape = rng.normal(size=(len(ids), 3))
    rdms = [
        compute_rdms(rows, stimulus_ids=ids, distance="squared_euclidean", labels={"model": name})
        for name, rows in (("identity", shape), ("a.b", rng.normal(size=(len(ids), 4))))
    ]
    return shape, concat_rdms([RDMSet(item.dissimilarities, ids, item.table) for item in rdms])


def _simulate(rng, ids, shape, signal=SIGNAL, n_runs=4):
    """Rows of one participant: noise, and near one place the planted dimensions, in a mix of its own."""
    distances = np.linalg.norm(np.argwhere(np.ones(SHAPE)) - np.array(CENTRE), axis=1)
    planted = shape @ rng.normal(size=(3, N_VOXELS)) * (distances <= 2)
    rows = np.tile(signal * planted, (n_runs, 1)) + rng.normal(size=(n_runs * len(ids), N_VOXELS))
    return rows, np.tile(ids, n_runs), np.repeat([str(run) for run in range(n_runs)], len(ids))


def _stem(folder, number):
    return folder / "data" / f"sub-{number:02d}" / "func" / f"sub-{number:02d}_task-faces_patterns"


@pytest.fixture
def study(tmp_path, rng, ids, geometry, mask):
    """Images of six participants with their tables, models and a mask."""
    shape, models = geometry
    for number in range(6):
        rows, names, runs = _simulate(rng, ids, shape)
        stem = (
            tmp_path / "data" / f"sub-{number + 1:02d}" / "func" / f"sub-{number + 1:02d}_task-faces_patterns"
        )
        images.write_map(f"{stem}.nii.gz", rows, mask, AFFINE)
        order = pd.DataFrame({"stimulus_id": names, "run": runs})
        order.to_csv(f"{stem}.tsv", sep="\t", index=False)
    models.save(tmp_path / "models.npz")
    images.write_map(tmp_path / "mask.nii.gz", np.ones(N_VOXELS), mask, AFFINE)
    return tmp_path


@pytest.fixture
def run(run):
    return partial(run, "brain", "searchlight")


def _arguments(study, *more, out="out"):
    common = ("--models", study / "models.npz", "--radius", 6, "--permutations", 199)
    return (study / "data", *common, "--out", study / out, *more)


def test_a_run_that_another_participant_has_too_is_refused(run, study):
    image = nibabel.load(f"{_stem(study, 2)}.nii.gz")
    own = nibabel.load(f"{_stem(study, 5)}.nii.gz").get_fdata()
    runs = pd.read_csv(f"{_stem(study, 5)}.tsv", sep="\t")["run"].to_numpy()
    own[..., runs == 3] = image.get_fdata()[..., runs == 1]
    nibabel.save(nibabel.Nifti1Image(own, image.affine), f"{_stem(study, 5)}.nii.gz")
    code, _, err = run(*_arguments(study, "--noise", "none"))
    assert code == 2
    assert re.search("run 3 of .*sub-05_.* holds the same values as run 1 of .*sub-02_", err)
    assert not (study / "out").exists()


def test_a_group_becomes_maps_peaks_and_a_figure(run, study, mask, geometry):
    code, text, err = run(*_arguments(study, "--noise", "none", "--comparison", "rho_a"))
    assert code == 0, err
    out = study / "out"
    settings = json.loads((out / "settings.json").read_text())
    assert [item["label"] for item in settings["models"]] == ["identity", "ab"]
    assert (settings["noise"], settings["comparison"]) == ("none", "rho_a")
    assert settings["group"]["smallest_p"] == 1 / 64
    assert settings["subjects"]["03"]["n_centres"] == N_VOXELS
    assert json.loads((out / "dataset_description.json").read_text())["DatasetType"] == "derivative"
    peaks = pd.read_csv(out / "peaks.csv")
    first = peaks.iloc[0]
    found = np.linalg.inv(AFFINE) @ [first["x_mm"], first["y_mm"], first["z_mm"], 1]
    assert first["model"] == "identity"
    assert first["is_significant"]
    assert np.abs(found[:3] - CENTRE).max() <= 2
    for end in ("pdf", "png", "csv", "txt"):
        assert (out / "figures" / f"searchlight-map.{end}").is_file()
    assert "peaks of 1 models pass" in (out / "index.html").read_text()
    assert "6 subjects, 336 voxels: max_t over 199 sign flips (smallest possible p 0.016)" in text
    assert f"Written to {out}" in text
    assert "searchlight" in err, "a progress bar"
    _check_files(study, mask, geometry[1])


def _check_files(study, mask, models):
    """What lies in the files is what the functions give."""
    near = build_neighbourhoods(images.compute_coordinates(mask, AFFINE), radius=6)
    expected = []
    for number in range(1, 7):
        stem = _stem(study, number)
        rows = images.read_volumes(images.load_image(f"{stem}.nii.gz"), mask)
        labels = pd.read_csv(f"{stem}.tsv", sep="\t", dtype=str)
        values = search_patterns(
            rows, models, near, stimulus_ids=labels["stimulus_id"], runs=labels["run"],
            distance="crossnobis", comparison="rho_a",
        ).values  # fmt: skip
        name = f"sub-{number:02d}_task-faces_stat-rhoa_desc-ab_statmap"
        path = study / "out" / f"sub-{number:02d}" / "func" / f"{name}.nii.gz"
        written = images.read_volumes(images.load_image(path), mask)[0]
        assert np.allclose(written, values[1], atol=1e-6)
        assert json.loads(path.with_name(f"{name}.json").read_text())["Model"] == "a.b"
        expected.append(values)
    group = infer_group(np.array(expected)[:, 0], mask, AFFINE, n_permutations=199)
    for statistic, values in (("mean", group.mean), ("t", group.t), ("logp", -np.log10(group.p_values))):
        path = study / "out" / "group" / f"group_stat-{statistic}_desc-identity_statmap.nii.gz"
        written = images.read_volumes(images.load_image(path), mask)[0]
        assert np.allclose(written, values, atol=1e-4), statistic


def test_few_subjects_get_maps_and_the_reason_for_no_test(run, study):
    subjects = ("--subject", "01", "--subject", "05")
    code, text, err = run(*_arguments(study, *subjects, "--nearest", 30, out="few"))
    assert code == 2
    assert "give a radius or the number of nearest voxels, not both" in err
    code, text, err = run(*_arguments(study, *subjects, out="few"))
    assert code == 0, err
    assert (
        "No group test: 2 subjects have 4 sign flips, so no p-value of the group can be smaller than 0.25"
        in text
    )
    assert sorted(path.name for path in (study / "few").glob("sub-*")) == ["sub-01", "sub-05"]
    assert not (study / "few" / "peaks.csv").exists()
    assert json.loads((study / "few" / "settings.json").read_text())["group"]["tested"] is False


def test_patterns_without_a_mask_are_searched_with_a_notice(run, study):
    """Their images hold the voxels of the regions alone."""
    options = ("--subject", "01", "--permutations", 0, "--overwrite")
    regions = parse_roi("FFA=0,0,0,5") + parse_roi("OFA=9,0,0,5")
    for mask, more, is_told in (
        ("brain.nii.gz", (), False),
        ("", (), True),
        ("", ("--mask", study / "mask.nii.gz"), False),
    ):
        made = start_derivatives(study / f"made{mask}", PatternSettings(tuple(regions), mask=mask).describe())
        (made / "dataset_description.json").replace(study / "data" / "dataset_description.json")
        code, _, err = run(*_arguments(study, *options, *more))
        assert code == 0, err
        assert ("only have the voxels of its regions (FFA, OFA), and the searchlight" in err) == is_told
        assert ("Notice" in err) == is_told


def test_names_of_files_differ_on_disks_without_capitals():
    assert label_models(["Identity", "identity", "IDENTITY", "x"]) == [
        "Identity",
        "identityx2",
        "IDENTITYx3",
        "x",
    ]


def test_only_searchlight_maps_are_replaced(run, study):
    options = ("--subject", "01", "--permutations", 0)
    assert run(*_arguments(study, *options))[0] == 0
    code, _, err = run(*_arguments(study, *options))
    assert (code, "add --overwrite" in err) == (2, True)
    code, text, _ = run(*_arguments(study, *options, "--overwrite"))
    assert (code, "no permutations were asked for" in text) == (0, True)
    (study / "mine").mkdir()
    (study / "mine" / "thesis.txt").write_text("mine")
    code, _, err = run(*_arguments(study, *options, "--overwrite", out="mine"))
    assert (code, "does not hold searchlight maps" in err) == (2, True)
    (study / "mine" / "settings.json").write_text('{"kind": "rsa"}')
    code, _, err = run(*_arguments(study, *options, "--overwrite", out="mine"))
    assert (code, "does not hold searchlight maps" in err) == (2, True)
    assert (study / "mine" / "thesis.txt").is_file()


def test_mistakes_are_one_line_each(run, study, geometry, ids):
    other = RDMSet(geometry[1].dissimilarities, [*ids[:-1], "hand12"], geometry[1].table)
    other.save(study / "other.npz")
    small = np.ones((7, 8, 5), dtype=bool)
    images.write_map(study / "small.nii.gz", np.ones(280), small, AFFINE)
    data = study / "data" / "sub-02" / "func"
    table = pd.read_csv(data / "sub-02_task-faces_patterns.tsv", sep="\t", dtype=str)
    for arguments, message in (
        (("--models", study / "other.npz"), "the patterns are of 1 stimuli that the models do not have"),
        (("--mask", study / "small.nii.gz"), "another space"),
        (("--radius", 1), "subject 01: no voxel has a neighbourhood of 10 voxels"),
        (
            ("--noise", "local", "--distance", "correlation"),
            "--noise local goes with crossnobis and mahalanobis",
        ),
        (("--distance", "crosnobis"), "Did you mean 'crossnobis'"),
        (("--permutations", 10), "with 10 permutations no p-value can be smaller than 0.0909"),
        (("--correction", "maxt"), "Did you mean 'max_t'"),
        (("--jobs", 0), "--jobs must be 1 or more, or -1 for one per core; got 0"),
        (("--subject", "09"), "there are no patterns of subject '09'"),
    ):
        words = [
            word
            for word in _arguments(study)
            if not (word == study / "models.npz" and arguments[0] == "--models")
        ]
        if arguments[0] == "--models":
            words.remove("--models")
        code, _, err = run(*words, *arguments)
        lines = [line for line in err.splitlines() if line.startswith("Error")]
        assert code == 2, arguments
        assert len(lines) == 1, err
        assert message in lines[0]
        assert not (study / "out").exists()
    lost = (table["run"] == "2") & (table["stimulus_id"] == "car7")
    table.loc[lost, "stimulus_id"] = "hand2"
    table.to_csv(data / "sub-02_task-faces_patterns.tsv", sep="\t", index=False)
    code, _, err = run(*_arguments(study))
    assert code == 2
    assert "subject 02: run '2' of patterns has no pattern of 1 of 7 stimuli (first: 'car7')" in err


def _volume(rng, ids, shape, mask, signal):
    rows, names, runs = _simulate(rng, ids, shape, signal, n_runs=3)
    return VolumePatterns(rows, names, runs, mask, AFFINE, "01", "", "", None, None, {})


@pytest.mark.parametrize("distance", ["crossnobis", pytest.param("correlation", marks=pytest.mark.slow)])
def test_from_patterns_to_the_group_the_test_is_calibrated(rng, ids, geometry, mask, distance):
    """Of many groups without an effect, anything is found in as few as it should; with one, in all."""
    shape, models = geometry
    settings = SearchlightSettings(radius=5, distance=distance, noise="none")

    def find(signal, seed):
        maps = [search_volume(_volume(rng, ids, shape, mask, signal), models, settings) for _ in range(8)]
        return infer_maps(maps, models.names, n_permutations=59, seed=seed)[0]

    smallest = [group.p_values.min() for seed in range(25) for group in find(0.0, seed)]
    assert false_positive_rate(smallest).is_calibrated
    assert false_positive_rate(smallest, 0.5).rate > 0.3
    assert all(find(3.0, seed)[0].p_values.min() <= 0.05 for seed in range(3))


def _maps(values, mask, subject, affine=AFFINE):
    return SubjectMaps(values, mask, affine, subject, "", {})


def test_maps_are_written_into_their_folder_alone(tmp_path, mask):
    out, settings = tmp_path / "deep" / "out", SearchlightSettings()
    for subject, task in (("../../else", ""), ("01", "../x"), ("", "x")):
        maps = SubjectMaps(np.ones((1, N_VOXELS)), mask, AFFINE, subject, task, {})
        with pytest.raises(ValueError, match=r"(subject|task) '.*' may have only letters"):
            write_subject_maps(out, maps, ["identity"], settings)
    assert not list(tmp_path.iterdir())
    write_subject_maps(out, replace(maps, subject="01"), ["identity"], settings)
    assert len(list(out.rglob("*.nii.gz"))) == 1


def test_a_group_has_the_centres_that_all_have(rng, mask):
    parts = []
    for number in range(3):
        inside = mask.copy()
        inside[number, 0, 0] = False
        parts.append(_maps(rng.normal(size=(2, N_VOXELS - 1)), inside, str(number)))
    values, common = combine_maps(parts)
    assert values.shape == (2, 3, N_VOXELS - 3)
    assert common.sum() == N_VOXELS - 3
    volume = np.full(SHAPE, np.nan)
    volume[parts[1].mask] = parts[1].values[1]
    assert np.array_equal(values[1, 1], volume[common])
    moved = AFFINE.copy()
    moved[2, 3] += 3
    for other, message in (
        (_maps(parts[0].values, parts[0].mask, "9", moved), "subjects 0 and 9 lie in different spaces"),
        (_maps(np.ones((2, 4)), np.ones((1, 2, 2), dtype=bool), "9"), r"\(1, 2, 2\) voxels\)"),
    ):
        with pytest.raises(ValueError, match=message):
            combine_maps([*parts, other])
    alone = np.zeros(SHAPE, dtype=bool)
    alone[0, 0, 0] = True
    with pytest.raises(ValueError, match="have no voxel in common"):
        combine_maps([parts[0], _maps(np.ones((2, 1)), alone, "9")])


@pytest.mark.realdata
def test_houses_stand_apart_in_ventral_temporal_cortex(run, data_root, tmp_path):
    """One slice of Haxby et al. (2001): eight categories in twelve runs of one participant."""
    names = ["bottle", "cat", "chair", "face", "house", "scissors", "scrambledpix", "shoe"]
    first, second = np.triu_indices(8, 1)
    house = np.array(names) == "house"
    values = np.vstack([house[first] != house[second], np.random.default_rng(0).random(28)]).astype(float)
    RDMSet(values, names, pd.DataFrame({"model": ["house", "noise"]})).save(tmp_path / "models.npz")
    folder = data_root / "haxby2001_slice"
    files = ("--labels", folder / "attributes_literal.txt", "--mask", folder / "mask.nii.gz")
    cleaning = ("--subject", "1", "--leave-out", "rest", "--detrend", "--zscore")
    search = ("--models", tmp_path / "models.npz", "--radius", 10, "--comparison", "rho_a")
    code, text, err = run(folder / "bold.nii.gz", *files, *cleaning, *search, "--out", tmp_path / "out")
    assert code == 0, err
    assert "subject 1: 529 centres of 530 voxels" in text
    assert "1 subject has 2 sign flips" in text
    found = {
        name: np.nanmean(
            images.load_image(
                tmp_path / "out" / "sub-1" / "func" / f"sub-1_stat-rhoa_desc-{name}_statmap.nii.gz"
            ).get_fdata()
        )
        for name in ("house", "noise")
    }
    assert found["house"] > 0.15 > found["noise"] + 0.05
