import nibabel
import numpy as np
import pandas as pd
import pytest

from fernet_neuro.brain import images
from fernet_neuro.brain.patterns import BrainPatterns
from fernet_neuro.brain.volumes import find_sources, read_volumes
from fernet_neuro.exceptions import StimulusError, StoreError

AFFINE = np.array([[-3.0, 0, 0, 30], [0, 3.0, 0, -21], [0, 0, 2.5, 12], [0, 0, 0, 1]])
SHAPE = (4, 5, 3)
IDS = ["face2", "car", "face10", "hand"]


@pytest.fixture
def mask(rng):
    inside = rng.random(SHAPE) < 0.8
    inside[1, 2, 1] = inside[2, 2, 1] = True
    return inside


def _write(folder, name, rng, mask, runs=("1", "2", "3"), ids=IDS, affine=AFFINE):
    """Write an image of one pattern per stimulus and run with its table, 0 outside the mask."""
    labels = pd.DataFrame([(item, run) for run in runs for item in ids], columns=["stimulus_id", "run"])
    values = rng.normal(size=(len(labels), int(mask.sum()))).astype(np.float32)
    folder.mkdir(parents=True, exist_ok=True)
    images.write_map(folder / f"{name}.nii.gz", values, mask, affine)
    labels.to_csv(folder / f"{name}.tsv", sep="\t", index=False)
    return values.astype(float), labels


def _write_mask(path, mask, affine=AFFINE):
    images.write_map(path, np.ones(int(mask.sum())), mask, affine)
    return path


def _read(*sources, subjects=(), reading=None, **options):
    found = find_sources(sources, subjects=subjects, **options)
    return {name: read_volumes(items, **(reading or {})) for name, items in found.items()}


def test_an_image_with_its_table_is_read_where_it_varies(tmp_path, rng, mask):
    values, labels = _write(tmp_path, "sub-01_task-faces_betas", rng, mask)
    found = _read(tmp_path / "sub-01_task-faces_betas.nii.gz")["01"]
    assert np.array_equal(found.values, values)
    assert np.array_equal(found.mask, mask)
    assert np.allclose(found.affine, AFFINE)
    assert found.stimulus_ids.tolist() == labels["stimulus_id"].tolist()
    assert found.runs.tolist() == labels["run"].tolist()
    assert (found.subject, found.session, found.task, found.left_out) == ("01", "", "faces", {})
    assert np.allclose(found.coordinates, images.compute_coordinates(mask, AFFINE))


def test_a_mask_says_which_voxels_and_bad_ones_are_counted(tmp_path, rng, mask):
    _write(tmp_path, "sub-01_betas", rng, mask)
    path = tmp_path / "sub-01_betas.nii.gz"
    whole = _write_mask(tmp_path / "mask_01.nii.gz", np.ones(SHAPE, dtype=bool))
    image = images.load_image(path)
    data = np.asarray(image.dataobj).copy()
    data[1, 2, 1, 4] = np.nan
    images.write_image(path, nibabel.Nifti1Image(data, image.affine))
    found = _read(path, mask=tmp_path / "mask_{subject}.nii.gz")["01"]
    assert found.left_out == {"not_finite": 1, "constant": int((~mask).sum())}
    assert found.mask.sum() == found.n_voxels == mask.sum() - 1
    assert not found.mask[1, 2, 1]
    assert whole.is_file()


def test_noise_is_what_stimuli_and_runs_leave(tmp_path, rng, mask):
    values, _ = _write(tmp_path, "sub-01_betas", rng, mask)
    found = _read(tmp_path / "sub-01_betas.nii.gz")["01"]
    cube = values.reshape(3, 4, -1)
    left = cube - cube.mean(axis=0) - cube.mean(axis=1, keepdims=True) + cube.mean(axis=(0, 1))
    assert np.allclose(found.describe_noise("univariate")["noise"], (left**2).mean(axis=(0, 1)))
    assert found.describe_noise("local")["residuals"].shape == values.shape
    assert found.describe_noise("none") == {}
    with pytest.raises(ValueError, match="Did you mean 'univariate'"):
        found.describe_noise("univariat")


def test_rows_can_be_left_out_and_runs_cleaned(tmp_path, rng, mask):
    values, labels = _write(tmp_path, "sub-01_betas", rng, mask)
    reading = {"leave_out": ["hand"], "detrend": True, "zscore": True}
    found = _read(tmp_path / "sub-01_betas.nii.gz", reading=reading)["01"]
    keep = (labels["stimulus_id"] != "hand").to_numpy()
    assert found.stimulus_ids.tolist() == labels.loc[keep, "stimulus_id"].tolist()
    rows = values[:4] - np.polyval(np.polyfit(range(4), values[:4], 1), np.arange(4)[:, None])
    rows = (rows - rows.mean(axis=0)) / rows.std(axis=0, ddof=1)
    assert np.allclose(found.values[:3], rows[:3], atol=1e-5)


def test_sessions_of_a_subject_become_one(tmp_path, rng, mask):
    first, _ = _write(tmp_path, "sub-01_ses-a_betas", rng, mask, runs=("1", "2"))
    smaller = mask.copy()
    smaller[1, 2, 1] = False
    second, _ = _write(tmp_path, "sub-01_ses-b_betas", rng, smaller, runs=("1", "2"))
    found = _read(*sorted(tmp_path.glob("*.nii.gz")))["01"]
    assert list(dict.fromkeys(found.runs.tolist())) == ["a-1", "a-2", "b-1", "b-2"]
    assert np.array_equal(found.mask, smaller)
    assert np.array_equal(found.values, np.concatenate([first[:, smaller[mask]], second]))
    assert found.describe_noise("local")["residuals"].shape == found.values.shape
    moved = AFFINE.copy()
    moved[0, 3] += 3
    _write(tmp_path, "sub-01_ses-b_betas", rng, mask, affine=moved)
    with pytest.raises(ValueError, match=r"ses-b_betas.nii.gz lies in another space than .*ses-a_betas"):
        _read(*sorted(tmp_path.glob("*.nii.gz")))


def _patterns(rng, n_voxels, session="", noise=None):
    labels = [(item, run) for run in ("1", "2") for item in IDS]
    names, runs = zip(*labels, strict=True)
    values = rng.normal(size=(8, n_voxels))
    return BrainPatterns(values, names, runs, "brain", "07", session, noise_covariance=noise)


def test_patterns_of_a_region_take_their_places_from_its_mask(tmp_path, rng, mask):
    n_voxels = int(mask.sum())
    place = tmp_path / "sub-07" / "func"
    place.mkdir(parents=True)
    factor = rng.normal(size=(n_voxels, n_voxels + 5))
    patterns = _patterns(rng, n_voxels, noise=factor @ factor.T)
    patterns.save(place / "sub-07_task-x_roi-brain_patterns.npz")
    with pytest.raises(StoreError, match=r"does not say where its voxels lie.*_mask.nii.gz beside it"):
        _read(tmp_path, roi="brain")
    _write_mask(place / "sub-07_task-x_roi-brain_mask.nii.gz", mask)
    found = _read(tmp_path, roi="brain")["07"]
    assert np.array_equal(found.values, patterns.values)
    assert np.array_equal(found.mask, mask)
    assert np.array_equal(found.describe_noise("univariate")["noise"], np.diag(patterns.noise_covariance))
    assert np.array_equal(found.describe_noise("local")["noise"], patterns.noise_covariance)
    other = _write_mask(tmp_path / "other.nii.gz", np.ones(SHAPE, dtype=bool))
    with pytest.raises(ValueError, match=r"has 60 voxels, the patterns of .* take the mask that they"):
        _read(tmp_path, roi="brain", mask=other)
    with pytest.raises(StoreError, match=r"holds no patterns of region 'brian'.*Did you mean 'brain'"):
        _read(tmp_path, roi="brian")
    with pytest.raises(StoreError, match=r"holds no images of .*It has regions brain; name one with --roi"):
        _read(tmp_path)
    with pytest.raises(ValueError, match="detrend and zscore are for images"):
        _read(tmp_path, roi="brain", reading={"zscore": True})


def test_noise_by_run_is_kept_over_sessions(tmp_path, rng, mask):
    n_voxels = int(mask.sum())
    place = tmp_path / "sub-07" / "func"
    place.mkdir(parents=True)
    for number, session in enumerate("ab"):
        noise = {run: np.eye(n_voxels) * (1 + number + 5 * int(run)) for run in ("1", "2")}
        _patterns(rng, n_voxels, session, noise).save(place / f"sub-07_ses-{session}_roi-brain_patterns.npz")
        _write_mask(place / f"sub-07_ses-{session}_roi-brain_mask.nii.gz", mask)
    found = _read(tmp_path, roi="brain")["07"]
    assert list(found.describe_noise("local")["noise"]) == ["a-1", "a-2", "b-1", "b-2"]
    assert set(found.describe_noise("univariate")["noise"]) == {(6 + 11 + 7 + 12) / 4}
    bare = _patterns(rng, n_voxels, "c")
    bare.save(place / "sub-07_ses-c_roi-brain_patterns.npz")
    _write_mask(place / "sub-07_ses-c_roi-brain_mask.nii.gz", mask)
    with pytest.raises(ValueError, match="patterns of subject 07 come without noise covariance"):
        _read(tmp_path, roi="brain")["07"].describe_noise("local")


def test_a_folder_of_derivatives_is_one_image_per_subject(tmp_path, rng, mask):
    for subject in ("02", "01"):
        _write(tmp_path / f"sub-{subject}" / "func", f"sub-{subject}_task-x_patterns", rng, mask)
    assert list(_read(tmp_path)) == ["01", "02"]
    assert list(_read(tmp_path, subjects=["sub-02"])) == ["02"]
    with pytest.raises(ValueError, match=r"no patterns of subject '03'; there are: 01, 02"):
        _read(tmp_path, subjects=["03"])


def test_files_that_do_not_fit_are_named(tmp_path, rng, mask):
    path = tmp_path / "sub-01_betas.nii.gz"
    with pytest.raises(StoreError, match=r"sub-01_betas.nii.gz does not exist"):
        _read(path)
    _, labels = _write(tmp_path, "sub-01_betas", rng, mask)
    other = _write_mask(tmp_path / "mask.nii.gz", np.ones((4, 5, 6), dtype=bool))
    with pytest.raises(ValueError, match=r"mask .*has \(4, 5, 6\) voxels.*another space"):
        _read(path, mask=other)
    moved = AFFINE.copy()
    moved[1, 1] = -3
    other = _write_mask(tmp_path / "mask.nii.gz", np.ones(SHAPE, dtype=bool), moved)
    with pytest.raises(ValueError, match="another affine"):
        _read(path, mask=other)
    labels.iloc[1:].to_csv(tmp_path / "short.tsv", sep="\t", index=False)
    with pytest.raises(ValueError, match="have 12 volumes, the table of labels 11 rows"):
        _read(path, labels=tmp_path / "short.tsv")
    (tmp_path / "sub-01_betas.tsv").unlink()
    with pytest.raises(StoreError, match=r"no table of stimuli and runs beside it \(sub-01_betas.tsv\)"):
        _read(path)
    path.rename(tmp_path / "betas.nii.gz")
    with pytest.raises(ValueError, match="does not say whose it is"):
        _read(tmp_path / "betas.nii.gz", labels=tmp_path / "short.tsv")
    labels.to_csv(tmp_path / "whole.tsv", sep="\t", index=False)
    assert list(_read(tmp_path / "betas.nii.gz", labels=tmp_path / "whole.tsv", subjects=["04"])) == ["04"]
    with pytest.raises(ValueError, match=r"betas.nii.gz: subject '../04' may have only letters"):
        _read(tmp_path / "betas.nii.gz", labels=tmp_path / "whole.tsv", subjects=["../04"])
    with pytest.raises(ValueError, match=r"must be a folder, or end in .npz"):
        _read(tmp_path / "short.tsv")
    _write_mask(tmp_path / "sub-01_flat.nii.gz", mask)
    with pytest.raises(ValueError, match=r"has shape \(4, 5, 3\); it must have one volume per pattern"):
        _read(tmp_path / "sub-01_flat.nii.gz", labels=tmp_path / "short.tsv")
    zeros = nibabel.Nifti1Image(np.zeros((*SHAPE, 12), dtype=np.float32), AFFINE)
    images.write_image(tmp_path / "sub-02_zero.nii.gz", zeros)
    with pytest.raises(StimulusError, match="all voxels are NaN or constant"):
        _read(tmp_path / "sub-02_zero.nii.gz", labels=tmp_path / "short.tsv")
