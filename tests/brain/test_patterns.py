import json
from dataclasses import replace

import numpy as np
import pytest

from fernet_neuro.brain.patterns import BrainPatterns
from fernet_neuro.exceptions import AlignmentError, StoreError


def _covariance(rng, n=7):
    factor = rng.normal(size=(n, n + 4))
    return factor @ factor.T


@pytest.fixture
def patterns(rng):
    """Three stimuli, not in alphabetical order, in four runs of a region with seven voxels."""
    return BrainPatterns(
        rng.normal(size=(12, 7)),
        np.array(["face2", "car", "face10"] * 4),
        np.repeat(["01", "02", "03", "04"], 3),
        "FFA",
        "01",
        session="a",
        unit="beta",
        noise_covariance=_covariance(rng),
    )


def test_a_file_gives_back_equal_patterns(patterns, tmp_path, rng):
    by_run = {run: _covariance(rng) for run in ("01", "02", "03", "04")}
    variants = {
        "one": patterns,
        "none": replace(patterns, noise_covariance=None, session=""),
        "by_run": replace(patterns, noise_covariance=by_run),
        "float32": replace(patterns, values=patterns.values.astype(np.float32)),
    }
    for name, item in variants.items():
        item.save(tmp_path / f"{name}.npz")
        back = BrainPatterns.load(tmp_path / f"{name}.npz")
        assert back == item
        assert all(back != other for key, other in variants.items() if key != name)
    assert len(list(tmp_path.iterdir())) == len(variants)


@pytest.mark.parametrize("name", ["roi", "subject", "session", "unit"])
def test_every_label_counts_for_equality(patterns, name):
    assert patterns != replace(patterns, **{name: "other"})
    assert patterns != 3


def test_counts_and_names(patterns):
    assert (patterns.n_observations, patterns.n_voxels) == (12, 7)
    assert patterns.stimuli == ["face2", "car", "face10"]
    assert patterns.run_names == ["01", "02", "03", "04"]


def test_selection_keeps_labels_with_their_rows(patterns, rng):
    found = patterns.select(stimulus_ids=["face10", "face2"], runs=["03", "01"])
    assert found.stimulus_ids.tolist() == ["face2", "face10"] * 2
    assert found.runs.tolist() == ["01", "01", "03", "03"]
    assert np.array_equal(found.values, patterns.values[[0, 2, 6, 8]])
    assert np.array_equal(found.noise_covariance, patterns.noise_covariance)
    by_run = {run: _covariance(rng) for run in patterns.run_names}
    assert list(replace(patterns, noise_covariance=by_run).select(runs=["02"]).noise_covariance) == ["02"]


def test_align_to_groups_by_stimulus(patterns):
    found = patterns.align_to(["face10", "car"])
    assert found.stimulus_ids.tolist() == ["face10"] * 4 + ["car"] * 4
    assert found.runs.tolist() == ["01", "02", "03", "04"] * 2
    assert np.array_equal(found.values, patterns.values[[2, 5, 8, 11, 1, 4, 7, 10]])
    with pytest.raises(
        AlignmentError, match=r"FFA of subject 01 has no patterns of 1 .*'face1'.*Did you mean"
    ):
        patterns.align_to(["car", "face1"])


def test_precision_is_the_inverse_of_the_covariance(patterns, rng):
    assert np.allclose(patterns.compute_precision() @ patterns.noise_covariance, np.eye(7), atol=1e-9)
    by_run = {run: _covariance(rng) for run in patterns.run_names}
    found = replace(patterns, noise_covariance=by_run).compute_precision()
    assert all(np.allclose(found[run] @ by_run[run], np.eye(7), atol=1e-9) for run in by_run)
    assert replace(patterns, noise_covariance=None).compute_precision() is None
    flat = np.ones((7, 7))
    with pytest.raises(ValueError, match="of FFA of subject 01 has no inverse"):
        replace(patterns, noise_covariance=flat).compute_precision()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"values": np.zeros((12, 7, 1))}, r"shape \(n_observations, n_voxels\).*\(12, 7, 1\)"),
        ({"values": np.zeros((12, 0))}, r"one or more of both; got float64 \(12, 0\)"),
        ({"values": np.full((12, 7), "a")}, "must be real numbers"),
        (
            {"stimulus_ids": ["a"] * 11},
            r"stimulus_ids must have one entry per row of values, 12; got \(11,\)",
        ),
        ({"runs": ["1"]}, "runs must have one entry per row"),
        ({"roi": ""}, "patterns need a roi"),
        ({"subject": ""}, "patterns need a subject"),
        ({"subject": "../../else"}, r"subject '../../else' may have only letters \(A to Z\) and digits"),
        ({"roi": "V1+V2"}, r"roi 'V1\+V2' may have only letters"),
        ({"session": "a/b"}, "session 'a/b' may have only letters"),
        (
            {"values": np.where(np.eye(12, 7, 2) > 0, np.nan, 1.0)},
            r"5 values .*nan for stimulus 'face2' in voxel 2",
        ),
        ({"noise_covariance": np.eye(6)}, r"noise_covariance must have shape \(7, 7\); got \(6, 6\)"),
        ({"noise_covariance": np.triu(np.ones((7, 7)))}, "must be symmetric"),
        ({"noise_covariance": np.full((7, 7), np.inf)}, "not finite"),
        ({"noise_covariance": {"01": np.eye(7)}}, "no noise covariance for run '02'; there are: 01"),
    ],
)
def test_what_does_not_fit_together_is_refused(patterns, changes, message):
    with pytest.raises(ValueError, match=message):
        replace(patterns, **changes)


def test_names_that_are_not_there_are_refused(patterns):
    with pytest.raises(
        ValueError, match=r"has no stimulus 'fase2'; there are: face2, car, face10. Did you mean 'face2'"
    ):
        patterns.select(stimulus_ids=["fase2"])
    with pytest.raises(ValueError, match=r"has no run '1'; there are: 01, 02"):
        patterns.select(runs=["1"])
    sparse = patterns.take([0, 4])
    with pytest.raises(ValueError, match="no observation is of both"):
        sparse.select(stimulus_ids=["car"], runs=["01"])


def test_what_is_no_pattern_file_is_refused(patterns, tmp_path):
    with pytest.raises(StoreError, match="does not exist"):
        BrainPatterns.load(tmp_path / "none.npz")
    (tmp_path / "text.npz").write_text("no archive", encoding="utf-8")
    with pytest.raises(StoreError, match=r"pattern file .*text.npz cannot be read"):
        BrainPatterns.load(tmp_path / "text.npz")
    np.savez(tmp_path / "other.npz", header=np.array('{"format": "else"}'))
    with pytest.raises(
        StoreError, match=r"not of the format .*version 1, but .*\); write it again with: fernet-neuro brain"
    ):
        BrainPatterns.load(tmp_path / "other.npz")
    patterns.save(tmp_path / "whole.npz")
    arrays = dict(np.load(tmp_path / "whole.npz"))
    header = json.loads(str(arrays["header"])) | {"subject": "../../../else"}
    np.savez(tmp_path / "escape.npz", **{**arrays, "header": np.array(json.dumps(header))})
    with pytest.raises(StoreError, match=r"escape.npz cannot be read \(subject '../../../else' may have"):
        BrainPatterns.load(tmp_path / "escape.npz")
    patterns.save(tmp_path / "cut.npz")
    whole = (tmp_path / "cut.npz").read_bytes()
    (tmp_path / "cut.npz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(StoreError, match="cannot be read"):
        BrainPatterns.load(tmp_path / "cut.npz")
