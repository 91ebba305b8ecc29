import nibabel
import numpy as np
import pytest
from nilearn.maskers import NiftiMasker

from fernet_neuro.brain import images
from fernet_neuro.exceptions import StimulusError, StoreError

AFFINE = np.array([[-3.0, 0, 0, 12], [0, 2, 0.5, -7], [0, 0, 2.5, 3], [0, 0, 0, 1]])


@pytest.fixture
def series(rng, tmp_path):
    """Eleven volumes of 5 x 6 x 4 voxels."""
    nibabel.Nifti1Image(rng.normal(size=(5, 6, 4, 11)).astype(np.float32), AFFINE).to_filename(
        tmp_path / "bold.nii.gz"
    )
    return tmp_path / "bold.nii.gz"


@pytest.fixture
def mask(rng):
    return rng.random((5, 6, 4)) < 0.3


def _save_mask(values, path, affine=AFFINE):
    nibabel.Nifti1Image(np.asarray(values, dtype=np.float32), affine).to_filename(path)
    return path


def test_volumes_are_read_in_the_order_of_nilearn(series, mask, tmp_path):
    path = _save_mask(mask, tmp_path / "mask.nii")
    found = images.read_volumes(images.load_image(series), images.load_mask(path))
    theirs = NiftiMasker(path, standardize=None).fit().transform(series)
    assert found.shape == (11, mask.sum())
    assert np.array_equal(found, theirs)


def test_a_written_map_gives_back_its_values(mask, tmp_path, rng):
    for shape in ((mask.sum(),), (7, mask.sum())):
        values = rng.normal(size=shape).astype(np.float32)
        images.write_map(tmp_path / "map.nii.gz", values, mask, AFFINE, fill=np.nan)
        image = images.load_image(tmp_path / "map.nii.gz")
        assert np.array_equal(images.read_volumes(image, mask), np.atleast_2d(values))
        assert np.isnan(np.asarray(image.dataobj)[~mask]).all()
        assert np.allclose(image.affine, AFFINE)
    first = (tmp_path / "map.nii.gz").read_bytes()
    images.write_map(tmp_path / "map.nii.gz", values, mask, AFFINE, fill=np.nan)
    assert (tmp_path / "map.nii.gz").read_bytes() == first
    with pytest.raises(ValueError, match=r"must end in .nii or .nii.gz"):
        images.write_map(tmp_path / "map.img", values, mask, AFFINE)
    with pytest.raises(ValueError, match="the values 3"):
        images.build_map(np.zeros(3), mask, AFFINE)


def test_coordinates_are_those_of_nibabel(mask):
    theirs = nibabel.affines.apply_affine(AFFINE, np.argwhere(mask))
    assert np.allclose(images.compute_coordinates(mask, AFFINE), theirs)


def test_a_mask_on_another_grid_is_refused(series, mask, tmp_path):
    bold = images.load_image(series)
    _save_mask(mask[:, :, :3], tmp_path / "shape.nii")
    with pytest.raises(
        ValueError, match=r"mask .*shape.nii has \(5, 6, 3\) voxels, bold \(5, 6, 4\): another space"
    ):
        images.load_mask(tmp_path / "shape.nii", bold, "bold")
    moved = AFFINE.copy()
    moved[1, 3] += 2
    _save_mask(mask, tmp_path / "moved.nii", moved)
    with pytest.raises(
        ValueError, match=r"moved.nii has another affine than bold \(-5 against -7 in row 1, column 3"
    ):
        images.load_mask(tmp_path / "moved.nii", bold, "bold")
    moved[1, 3] -= 2 - 1e-5
    _save_mask(mask, tmp_path / "rounded.nii", moved)
    assert np.array_equal(images.load_mask(tmp_path / "rounded.nii", bold), mask)


def test_what_is_no_mask_is_refused(mask, tmp_path):
    with pytest.raises(ValueError, match=r"empty.nii is empty: no voxel is inside"):
        images.load_mask(_save_mask(np.zeros((2, 3, 4)), tmp_path / "empty.nii"))
    with pytest.raises(ValueError, match=r"holds 2 values besides 0 \(such as 1 and 2\).*use it as an atlas"):
        images.load_mask(_save_mask(np.arange(24).reshape(2, 3, 4) % 3, tmp_path / "labels.nii"))
    with pytest.raises(ValueError, match=r"has shape \(2, 3, 4, 5\); a mask is one volume"):
        images.load_mask(_save_mask(np.ones((2, 3, 4, 5)), tmp_path / "four.nii"))
    with pytest.raises(ValueError, match=r"the mask has shape \(2, 3, 4\), the image \(5, 6, 4\)"):
        images.read_volumes(nibabel.Nifti1Image(np.zeros((5, 6, 4)), AFFINE), np.ones((2, 3, 4), dtype=bool))
    gaps = np.where(mask, 1.0, np.nan)
    assert np.array_equal(images.load_mask(_save_mask(gaps, tmp_path / "nan.nii")), mask)


def test_what_is_no_image_is_refused(series, tmp_path):
    with pytest.raises(StoreError, match="does not exist"):
        images.load_image(tmp_path / "none.nii")
    (tmp_path / "text.nii").write_text("no image", encoding="utf-8")
    with pytest.raises(StoreError, match=r"text.nii cannot be read"):
        images.load_image(tmp_path / "text.nii")
    whole = series.read_bytes()
    (tmp_path / "cut.nii.gz").write_bytes(whole[: len(whole) // 2])
    image = images.load_image(tmp_path / "cut.nii.gz")
    with pytest.raises(StoreError, match=r"image cut is damaged"):
        images.read_volumes(image, np.ones((5, 6, 4), dtype=bool), "cut")


def test_voxels_without_signal_are_counted(rng):
    values = rng.normal(size=(9, 13))
    values[4, 2] = np.nan
    values[:, 3] = np.inf
    values[:, [5, 6, 7]] = 0.25
    keep, left_out = images.check_constant_voxels(values, "ROI 'FFA'")
    assert np.flatnonzero(~keep).tolist() == [2, 3, 5, 6, 7]
    assert left_out == {"not_finite": 2, "constant": 3}
    with pytest.raises(StimulusError, match=r"ROI 'FFA': all 5 voxels are NaN or constant \(2 and 3\)"):
        images.check_constant_voxels(values[:, ~keep], "ROI 'FFA'")


def test_volumes_in_the_fifth_axis_are_volumes(tmp_path, rng):
    values = rng.normal(size=(3, 4, 2, 5)).astype(np.float32)
    nibabel.save(nibabel.Nifti1Image(values[..., None, :], np.eye(4)), tmp_path / "afni.nii.gz")
    image = images.load_image(tmp_path / "afni.nii.gz")
    mask = rng.random((3, 4, 2)) < 0.6
    np.testing.assert_array_equal(images.read_volumes(image, mask), values[mask].T)
    nibabel.save(nibabel.Nifti1Image(np.zeros((2, 2, 2, 3, 2), np.float32), np.eye(4)), tmp_path / "b.nii")
    with pytest.raises(StoreError, match=r"b.nii has 5 axes"):
        images.load_image(tmp_path / "b.nii")


def test_a_header_that_claims_gigabytes_takes_no_memory(tmp_path):
    header = nibabel.Nifti1Header()
    header.set_data_shape((30000, 30000, 300))
    (tmp_path / "a.nii").write_bytes(header.binaryblock + bytes(400))
    with pytest.raises(StoreError, match=r"a.nii is damaged: its header claims \(30000, 30000, 300\)"):
        images.load_image(tmp_path / "a.nii")
