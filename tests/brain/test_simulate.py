"""Simulated participants: the geometry that was planted, the noise that was asked for, files in BIDS."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import nibabel
import numpy as np
import pandas as pd
import pytest
from nilearn.glm.first_level import make_first_level_design_matrix
from scipy.spatial.distance import pdist, squareform

from fernet_neuro.brain.bids import find_runs
from fernet_neuro.brain.derivatives import read_patterns
from fernet_neuro.brain.pipeline import compute_dataset_patterns
from fernet_neuro.brain.simulation.dataset import simulate_group
from fernet_neuro.brain.simulation.design import HRF_MODEL, compute_responses, draw_design
from fernet_neuro.brain.simulation.geometry import draw_patterns, plant_geometry
from fernet_neuro.brain.simulation.scanner import build_volume, draw_noise, scan_run
from fernet_neuro.brain.simulation.settings import SimulationSettings
from fernet_neuro.brain.simulation.sidecars import PLANTED, read_planted
from fernet_neuro.cli.app import main
from fernet_neuro.door.simulate import simulate_brain
from fernet_neuro.exceptions import AlignmentError, StimulusError, StoreError
from fernet_neuro.rsa.models.factors import build_factor_rdm, build_model_rdms

BINARIES = Path(sys.executable).parent
SMALL = {
    "subjects": 2, "runs": 2, "t_r": 1.5, "voxel_size": 5.0, "gap": (0.5, 1.5),
    "regions": {
        "OFA": {"centre": (40, -78, -10), "radius": 9, "shares": {"pixels": 0.5, "identity": 0.5}},
        "pSTS": {"centre": (52, -46, 8), "radius": 8, "shares": {"expression": 0.7, "view": 0.3}},
    },
}  # fmt: skip


def make_settings(**changes) -> SimulationSettings:
    return SimulationSettings.model_validate({**SMALL, **changes})


def make_region(**shares: float) -> dict:
    return {"FFA": {"centre": (42, -52, -20), "radius": 10, "shares": shares}}


def measure(kernel: np.ndarray) -> np.ndarray:
    """Return the squared distances behind a kernel, by the definition."""
    diagonal = np.diag(kernel)
    return squareform(diagonal[:, None] + diagonal - 2 * kernel, checks=False)


def scale(distances: np.ndarray) -> np.ndarray:
    return 2 * distances / distances.mean()


def read_files(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture(scope="module")
def written(faces, features, tmp_path_factory) -> Path:
    """A small group on disk."""
    out = tmp_path_factory.mktemp("simulated") / "bids"
    simulate_group(faces, make_settings(), out, features=features)
    return out


# Geometry


def test_a_regions_rdm_is_the_sum_of_its_factors_weighted_by_their_shares(faces, features):
    shares = {"pixels": 0.2, "identity": 0.4, "expression": 0.1, "view": 0.25, "rating": 0.05}
    planted = plant_geometry(faces, make_settings(regions=make_region(**shares)), features)
    wanted = shares["pixels"] * scale(pdist(features["pixels"]) ** 2)
    for name in ("identity", "expression", "view", "rating"):
        wanted = wanted + shares[name] * scale(build_factor_rdm(faces, name).dissimilarities[0])
    np.testing.assert_allclose(measure(planted.mix("FFA")), wanted, rtol=1e-10)
    assert planted.shares["FFA"] == pytest.approx(shares)
    assert planted.notices == ()


def test_many_voxels_show_the_planted_distances_and_the_persons_own_on_top(faces, features):
    planted = plant_geometry(faces, make_settings(), features)
    kernel = planted.mix("OFA")
    patterns = draw_patterns(kernel, 60_000, 0.0, np.random.default_rng(0))
    distances = pdist(patterns, "sqeuclidean") / patterns.shape[1]
    np.testing.assert_allclose(distances, measure(kernel), rtol=0.04)
    people = [draw_patterns(kernel, 500, 0.5, np.random.default_rng(seed)) for seed in range(150)]
    mean = np.mean([pdist(person, "sqeuclidean") / 500 for person in people], axis=0)
    # The persons' own geometries differ pair by pair, and are one constant on average.
    np.testing.assert_allclose(mean, 0.5 * measure(kernel) + 0.5 * 2, rtol=0.15)
    apart = np.corrcoef([pdist(person, "sqeuclidean") for person in people[:20]])
    alike = [draw_patterns(kernel, 500, 0.0, np.random.default_rng(seed)) for seed in range(20)]
    assert apart[np.triu_indices(20, 1)].mean() < 0.8
    assert np.corrcoef([pdist(one, "sqeuclidean") for one in alike])[np.triu_indices(20, 1)].mean() > 0.9


def test_a_factor_that_does_not_vary_gives_its_share_to_the_others_and_says_so(faces, features):
    straight = faces.select(view="straight")
    regions = make_region(identity=0.45, view=0.1, expression=0.45)
    planted = plant_geometry(straight, make_settings(regions=regions))
    assert planted.shares["FFA"] == pytest.approx({"identity": 0.5, "expression": 0.5})
    assert planted.notices == (
        "FFA: all stimuli are the same in view; its shares are now identity 0.50, expression 0.50.",
    )


@pytest.mark.parametrize(
    ("regions", "error", "message"),
    [
        (make_region(view=1.0), StimulusError, "FFA tells stimuli apart by 'view' alone"),
        (make_region(identiti=1.0), StimulusError, r"no factor 'identiti'.*Did you mean 'identity'"),
        (make_region(pixels=1.0), StimulusError, r"give features=\{'pixels'"),
        (make_region(depth=1.0), AlignmentError, r"'depth' must have shape .* 4 stimuli .* \(7, 2\)"),
    ],
)
def test_what_cannot_be_planted_is_refused(faces, regions, error, message):
    features = {"depth": np.ones((7, 2))}
    with pytest.raises(error, match=message):
        plant_geometry(faces.select(view="straight"), make_settings(regions=regions), features)


def test_two_stimuli_are_too_few(faces):
    with pytest.raises(StimulusError, match="three or more stimuli; the table has 2"):
        plant_geometry(faces.select([0, 1]), make_settings())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"regions": make_region(identity=0.5, view=0.4)}, "shares must add up to 1; they add up to 0.9"),
        ({"regions": make_region(identity=1.5, view=-0.5)}, "share of 'view' is -0.5"),
        ({"regions": {"F A": SMALL["regions"]["OFA"]}}, "'F A' must be of letters and digits"),
        ({"gap": (2, 1)}, "gap must be the shortest and the longest"),
        ({"colour": 1}, "colour"),
    ],
)
def test_settings_that_cannot_be_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        make_settings(**changes)


# Task and scanner


def test_every_run_shows_every_stimulus_once_in_an_order_of_its_own():
    settings = make_settings(gap=(0.5, 2.5))
    designs = [draw_design(13, settings, np.random.default_rng(seed)) for seed in range(5)]
    for design in designs:
        assert sorted(design.order) == list(range(13))
        gaps = np.diff(design.onsets) - settings.duration
        assert gaps.min() >= 0.5 - 1e-3
        assert gaps.max() <= 2.5 + 1e-3
        assert design.n_scans == designs[0].n_scans
        assert design.onsets[-1] + 16 <= design.n_scans * settings.t_r
    assert len({tuple(design.order) for design in designs}) == 5
    assert len({tuple(design.onsets) for design in designs}) == 5


def test_responses_are_those_of_nilearns_design_matrix():
    settings = make_settings()
    design = draw_design(7, settings, np.random.default_rng(1))
    responses = compute_responses(design, settings)
    events = pd.DataFrame(
        {"onset": design.onsets, "duration": 1.0, "trial_type": [f"s{k}" for k in design.order]}
    )
    times = np.arange(design.n_scans) * settings.t_r
    matrix = make_first_level_design_matrix(times, events, hrf_model=HRF_MODEL, drift_model=None)
    wanted = matrix[[f"s{k}" for k in range(7)]].to_numpy()
    np.testing.assert_allclose(responses / responses.max(), wanted / wanted.max(), atol=1e-6)
    assert responses.max(axis=0) == pytest.approx(np.ones(7), abs=0.06)


@pytest.mark.parametrize(("smoothness", "autocorrelation"), [(8.0, 0.4), (0.0, 0.0)])
def test_noise_has_variance_one_and_is_as_smooth_as_asked_for(smoothness, autocorrelation):
    settings = make_settings(smoothness=smoothness, autocorrelation=autocorrelation)
    noise = draw_noise((11, 12, 13), 60, settings, np.random.default_rng(2))
    assert noise.var() == pytest.approx(1, abs=0.05)
    assert noise[0].var() == pytest.approx(1, abs=0.2)
    assert (noise[1:] * noise[:-1]).mean() == pytest.approx(autocorrelation, abs=0.03)
    # Two neighbours of Gaussian noise smoothed with sigma correlate with exp(-d^2 / 4 sigma^2).
    sigma = smoothness / 2.3548
    wanted = np.exp(-(5.0**2) / (4 * sigma**2)) if sigma else 0.0
    assert (noise[:, 1:] * noise[:, :-1]).mean() == pytest.approx(wanted, abs=0.05)


def test_a_run_has_the_noise_and_the_signal_that_was_asked_for():
    settings = make_settings(drift=0.0, noise=2.0)
    volume = build_volume(settings)
    n_inside = {name: int(inside.sum()) for name, inside in volume.regions.items()}
    signal = {"OFA": np.zeros((50, n_inside["OFA"])), "pSTS": np.full((50, n_inside["pSTS"]), 3.0)}
    run = scan_run(volume, signal, settings, np.random.default_rng(3))
    assert run.dtype == np.int16
    assert not run[~volume.mask].any()
    assert run[volume.regions["OFA"]].mean() == pytest.approx(10_000, rel=0.003)
    assert run[volume.regions["OFA"]].std() == pytest.approx(200, rel=0.05)
    assert run[volume.regions["pSTS"]].mean() == pytest.approx(10_600, rel=0.003)


def test_regions_lie_where_they_should_and_apart():
    volume = build_volume(SimulationSettings())
    for name, region in SimulationSettings().regions.items():
        places = nibabel.affines.apply_affine(volume.affine, np.argwhere(volume.regions[name]))
        assert np.linalg.norm(places - region.centre, axis=1).max() <= region.radius
        assert np.linalg.norm(places.mean(axis=0) - region.centre) < 1.5
    assert 3000 < volume.mask.sum() < 15_000
    both = {**make_region(identity=1.0), "OFA": {"centre": (42, -62, -20), "shares": {"view": 1.0}}}
    with pytest.raises(ValueError, match="regions FFA and OFA overlap"):
        build_volume(make_settings(regions=both))
    tiny = {"FFA": {"centre": (42.4, -52.4, -20.4), "radius": 0.1, "shares": {"view": 1.0}}}
    with pytest.raises(ValueError, match="FFA holds no voxel of 5 mm"):
        build_volume(make_settings(regions=tiny))


# The data set


@pytest.mark.slow
def test_the_data_set_passes_the_bids_validator(written, tmp_path):
    assert find_errors(written) == []
    assert find_errors(written / "derivatives" / "rois") == []


def test_the_validator_finds_what_is_wrong(written, tmp_path):
    copy = shutil.copytree(written, tmp_path / "bids")
    (copy / "derivatives" / "rois" / "settings.yaml").write_text("seed: 1\n")
    assert find_errors(copy) == ["NOT_INCLUDED /settings.yaml"]
    (copy / "task-faces_bold.json").unlink()
    events = copy / "sub-01" / "func" / "sub-01_task-faces_run-01_events.tsv"
    events.rename(events.with_name("sub-1_task-faces_events.tsv"))
    assert len(find_errors(copy)) >= 2


def find_errors(folder: Path) -> list[str]:
    """Return what the validator of the Brain Imaging Data Structure calls errors."""
    done = subprocess.run(
        [str(BINARIES / "bids-validator-deno"), "--recursive", "--format", "json", str(folder)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    found = json.loads(done.stdout)
    parts = [found, *found.get("derivativesSummary", {}).values()]
    issues = [issue for part in parts for issue in part["issues"]["issues"]]
    return [f"{item['code']} {item.get('location')}" for item in issues if item["severity"] == "error"]


def test_images_events_and_masks_belong_together(written, faces):
    runs = find_runs(written, raw=True)
    assert [(run.subject, run.run) for run in runs] == [(s, r) for s in ("01", "02") for r in ("01", "02")]
    assert {run.times.t_r for run in runs} == {1.5}
    for run in runs:
        image = nibabel.load(run.bold)
        assert image.header.get_zooms() == pytest.approx((5.0, 5.0, 5.0, 1.5))
        assert (image.header["qform_code"], image.header["sform_code"]) == (4, 4)
        events = pd.read_csv(run.events, sep="\t")
        assert sorted(events["stimulus_id"]) == sorted(faces.stimulus_ids)
        shown = faces.align_to(events["stimulus_id"])
        for name in ("identity", "expression", "view"):
            assert events[name].tolist() == shown.factor(name).tolist()
        assert "session" not in events
    mask = nibabel.load(written / "derivatives" / "rois" / "label-OFA_mask.nii.gz")
    np.testing.assert_allclose(mask.affine, image.affine)
    assert mask.shape == image.shape[:3]
    inside = build_volume(make_settings()).mask
    for run in runs:
        np.testing.assert_array_equal(nibabel.load(run.mask).get_fdata() > 0, inside)
        np.testing.assert_array_equal(nibabel.load(run.bold).get_fdata().any(axis=-1), inside)
    assert read_planted(written)["OFA"] == {"pixels": 0.5, "identity": 0.5}


@pytest.mark.parametrize("content", [None, "", "{}", "[]", '{"shares": {"OFA'])
def test_a_data_set_that_does_not_say_what_was_planted_is_told_with_the_way_out(tmp_path, content):
    (tmp_path / PLANTED).parent.mkdir()
    if content is not None:
        (tmp_path / PLANTED).write_text(content)
    with pytest.raises(StoreError, match=r"planted\.json, .* is missing or damaged .*; remove .* and run"):
        read_planted(tmp_path)


def test_a_searchlight_through_the_brain_finds_the_region_that_tells_identities_apart(faces, run, tmp_path):
    settings = make_settings(regions=make_region(identity=1.0), snr=1.5, individual=0.0)
    simulate_group(faces, settings, tmp_path / "bids")
    patterns, models, maps = tmp_path / "patterns", tmp_path / "models.npz", tmp_path / "maps"
    code, _, err = run("brain", "patterns", tmp_path / "bids", "--raw", "--mask", "brain", "--out", patterns)
    assert code == 0, err
    build_model_rdms(faces, ["identity"]).save(models)
    options = ("--radius", 10, "--permutations", 0, "--out", maps)
    code, _, err = run("brain", "searchlight", patterns, "--models", models, *options)
    assert code == 0, err
    assert "without --mask" not in err
    volume = build_volume(settings)
    found = [nibabel.load(path).get_fdata() for path in sorted(maps.glob("sub-*/func/*_statmap.nii.gz"))]
    assert len(found) == 2
    assert not np.isfinite(found[0][~volume.mask]).any()
    mean = np.mean(found, axis=0)
    places = nibabel.affines.apply_affine(volume.affine, np.argwhere(volume.mask))
    far = np.zeros_like(volume.mask)
    far[volume.mask] = np.linalg.norm(places - settings.regions["FFA"].centre, axis=1) > 22
    assert np.isfinite(mean[far]).sum() > 20
    assert np.nanmean(mean[volume.regions["FFA"]]) > 0.3
    assert abs(np.nanmean(mean[far])) < 0.1


def test_the_same_settings_give_the_same_bytes_whatever_the_number_of_threads(
    written, faces, features, tmp_path
):
    simulate_group(faces, make_settings(), tmp_path / "again", features=features, n_jobs=3)
    assert read_files(tmp_path / "again") == read_files(written)
    simulate_group(faces, make_settings(seed=1, subjects=1), tmp_path / "other", features=features)
    first = read_files(written)
    changed = [name for name, content in read_files(tmp_path / "other").items() if first[name] != content]
    assert len([name for name in changed if name.endswith("_bold.nii.gz")]) == 2
    assert not [name for name in changed if "rois" in name]


def test_a_person_is_the_same_in_a_larger_group(written, faces, features, tmp_path):
    simulate_group(faces, make_settings(subjects=1), tmp_path / "alone", features=features)
    more = read_files(written)
    own = {
        name: content for name, content in read_files(tmp_path / "alone").items() if name.startswith("sub-")
    }
    assert len(own) == 4
    for name, content in own.items():
        assert more[name] == content


def test_a_folder_in_use_is_kept_and_a_failure_leaves_nothing(faces, features, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("keep")
    with pytest.raises(StoreError, match="not empty; choose another folder or pass --overwrite"):
        simulate_group(faces, make_settings(), tmp_path / "mine", features=features)
    with pytest.raises(StoreError, match="is a file"):
        simulate_group(faces, make_settings(), tmp_path / "mine" / "notes.txt", features=features)
    with pytest.raises(StimulusError, match="pixels"):
        simulate_group(faces, make_settings(), tmp_path / "new")
    with pytest.raises(ValueError, match="n_jobs must be >= 1"):
        simulate_group(faces, make_settings(), tmp_path / "new", features=features, n_jobs=0)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine"]
    simulate_group(faces, make_settings(subjects=1), tmp_path / "mine", features=features, overwrite=True)
    assert not (tmp_path / "mine" / "notes.txt").exists()


# The command


@pytest.fixture
def run_command(monkeypatch, capsys):
    def call(*words: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["fernet-neuro", "brain", "simulate", *map(str, words)])
        with pytest.raises(SystemExit) as exit_info:
            main()
        return exit_info.value.code or 0, *capsys.readouterr()

    return call


def test_the_command_writes_a_group_and_says_what_is_in_it(run_command, noise_table, tmp_path):
    out = tmp_path / "bids"
    code, text, err = run_command(
        "--stimuli", tmp_path / "table.csv", "--subjects", 1, "--runs", 2, "--t-r", 3, "--seed", 4,
        "--set", "gap=[0.5, 1]", "--set", "voxel_size=6", "--out", out, "--json",
    )  # fmt: skip
    assert code == 0, err
    said = json.loads(text)
    assert said["shares"]["EVC"] == {"pixels": 1.0}
    assert any("EVC: all stimuli are the same in view" in text for text in said["notices"])
    assert json.loads((out / "task-faces_bold.json").read_text())["RepetitionTime"] == 3
    assert len(list(out.glob("sub-*/func/*_bold.nii.gz"))) == 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--set", "subject=3"), "Did you mean 'subjects'?"),
        (("--jobs", 0), "--jobs must be 1 or more"),
    ],
)
def test_the_command_refuses_in_one_line(run_command, noise_table, tmp_path, options, message):
    words = ("--stimuli", tmp_path / "table.csv", "--out", tmp_path / "bids")
    code, text, err = run_command(*words, *options)
    assert (code, text) == (2, "")
    assert message in err
    assert len(err.strip().splitlines()) == 1
    assert not (tmp_path / "bids").exists()


def test_patterns_of_a_whole_data_set_are_those_that_the_command_writes(run, noise_table, tmp_path):
    few = noise_table.select(session="A")
    bids = simulate_brain(few, tmp_path / "bids", make_settings(runs=3), subjects=2, runs=2).folder
    code, _, err = run("brain", "patterns", bids, "--raw", "--no-images", "--out", tmp_path / "patterns")
    assert code == 0, err
    found = {(item.roi, item.subject): item for item in compute_dataset_patterns(bids, raw=True)}
    written = read_patterns(tmp_path / "patterns")
    assert len(written) == len(found) == 4
    assert all(found[item.roi, item.subject] == item for item in written)
