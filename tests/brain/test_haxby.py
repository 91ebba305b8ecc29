"""A real run of BOLD: subject 1 of Haxby et al. (2001), the posterior half of one slice."""

import sys

import numpy as np
import pandas as pd
import pytest

from fernet_neuro.brain.derivatives import read_patterns
from fernet_neuro.brain.split_half import compute_split_half
from fernet_neuro.cli.app import main
from fernet_neuro.probes.decoding import decode_patterns
from fernet_neuro.rsa.compare import compare_rdms
from fernet_neuro.rsa.distances import compute_rdms
from fernet_neuro.rsa.rdms import RDMSet

pytestmark = pytest.mark.realdata


@pytest.fixture(scope="module")
def patterns(data_root, tmp_path_factory):
    """Detrended and z-scored by rest, as the command of the documentation does it."""
    folder = data_root / "haxby2001_slice"
    if not folder.is_dir():
        pytest.skip("the slice of Haxby et al. (2001) is not in FERNET_NEURO_DATA")
    out = tmp_path_factory.mktemp("haxby") / "patterns"
    options = ["--detrend", "--zscore", "--baseline", "rest", "--leave-out", "rest", "--task", "objects"]
    labels, roi = folder / "attributes_literal.txt", f"slice={folder / 'mask.nii.gz'}"
    arguments = ["brain", "patterns", folder / "bold.nii.gz", "--labels", labels, "--roi", roi, *options]
    with pytest.MonkeyPatch.context() as patch, pytest.raises(SystemExit) as exit_info:
        patch.setattr(sys, "argv", ["fernet-neuro", *map(str, arguments), "--out", str(out), "--json"])
        main()
    assert not exit_info.value.code
    (found,) = read_patterns(out)
    return found


@pytest.fixture(scope="module")
def rdm(patterns):
    return compute_rdms(
        patterns.values, distance="crossnobis", stimulus_ids=patterns.stimulus_ids, runs=patterns.runs,
        precision=patterns.compute_precision(),
    )  # fmt: skip


def test_volumes_are_read_as_they_are(patterns):
    assert (patterns.n_observations, patterns.n_voxels) == (12 * 8 * 9, 530)
    assert len(patterns.run_names) == 12
    assert set(patterns.stimuli) == {
        "face",
        "house",
        "shoe",
        "cat",
        "scissors",
        "scrambledpix",
        "bottle",
        "chair",
    }


def test_halves_of_the_runs_agree_as_published_for_the_slice(patterns):
    found = compute_split_half(patterns)
    assert round(found.loc["face", "face"], 2) == 0.69
    assert round(found.loc["house", "house"], 2) == 0.75
    assert found.loc["face", "house"] < 0 > found.loc["house", "face"]


def test_categories_are_decoded_as_published_for_the_slice(patterns):
    found = decode_patterns([patterns], average=True, n_permutations=1000).estimates.iloc[0]
    assert round(found["accuracy"], 2) == 0.69
    assert found["chance_level"] == 0.125
    assert found["p_value"] == pytest.approx(1 / 1001)
    assert found["null_mean"] == pytest.approx(0.125, abs=0.01)


def test_volumes_labelled_at_random_are_not_decoded(patterns, rng):
    shown = {run: rng.permutation(patterns.stimuli) for run in patterns.run_names}
    place = {name: number for number, name in enumerate(patterns.stimuli)}
    ids = [shown[run][place[name]] for run, name in zip(patterns.runs, patterns.stimulus_ids, strict=True)]
    shuffled = type(patterns)(patterns.values, ids, patterns.runs, "slice", "01")
    assert decode_patterns([shuffled], average=True, n_permutations=200).estimates["p_value"][0] > 0.05


def test_all_pairs_of_categories_differ(rdm):
    assert rdm.dissimilarities.min() > 0
    square = rdm.to_squares()[0]
    place = rdm.stimulus_ids.tolist().index
    off = ~np.eye(8, dtype=bool)
    means = {name: square[place(name)][off[place(name)]].mean() for name in rdm.stimulus_ids}
    assert max(means, key=means.get) == "house"


def test_rdms_of_odd_and_even_runs_agree(patterns):
    halves = [
        compute_rdms(
            part.values, distance="crossnobis", stimulus_ids=part.stimulus_ids, runs=part.runs,
            precision=part.compute_precision(),
        ).align_to(patterns.stimuli).dissimilarities[0]
        for part in (patterns.select(runs=patterns.run_names[start::2]) for start in (0, 1))
    ]  # fmt: skip
    assert round(np.corrcoef(*halves)[0, 1], 2) == 0.92


def test_the_model_of_houses_comes_first(rdm):
    ids = rdm.stimulus_ids
    labels = {"house": ids == "house", "face": ids == "face", "animate": np.isin(ids, ["face", "cat"])}
    squares = np.stack([(column[:, None] != column).astype(float) for column in labels.values()])
    models = RDMSet.from_squares(squares, ids, pd.DataFrame({"model": list(labels)}))
    found = compare_rdms(models, rdm, "rho_a").values[:, 0]
    assert found.round(2).tolist() == [0.56, 0.20, 0.17]
