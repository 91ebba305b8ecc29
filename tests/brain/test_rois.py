import nibabel
import numpy as np
import pytest

from fernet_neuro.brain.grids import VolumeGrid
from fernet_neuro.brain.rois import RoiSpec, build_rois, parse_roi
from fernet_neuro.exceptions import StoreError

AFFINE = np.array([[-3.0, 0, 0, 12], [0, 2, 0, -7], [0, 0, 2.5, 3], [0, 0, 0, 1]])
SHAPE = (5, 6, 4)


def _save(values, path, affine=AFFINE):
    nibabel.Nifti1Image(np.asarray(values, dtype=np.float32), affine).to_filename(path)
    return str(path)


@pytest.fixture
def grid(rng):
    return VolumeGrid(nibabel.Nifti1Image(rng.normal(size=(*SHAPE, 7)), AFFINE), "bold.nii")


@pytest.fixture
def atlas(tmp_path, rng):
    return _save(rng.integers(0, 5, SHAPE), tmp_path / "atlas.nii.gz")


def test_a_sphere_holds_the_voxels_within_its_radius(grid):
    centre, radius = np.array([3.0, -1.0, 5.5]), 4.2
    (spec,) = parse_roi("OFA=3,-1,5.5,4.2")
    found = build_rois(grid, [spec])["OFA"].reshape(SHAPE)
    for index in np.ndindex(SHAPE):
        place = nibabel.affines.apply_affine(AFFINE, index)
        assert found[index] == (np.linalg.norm(place - centre) <= radius)
    assert found.sum() > 3


def test_a_voxel_at_the_radius_belongs_to_the_sphere(grid):
    place = nibabel.affines.apply_affine(AFFINE, (2, 3, 1))
    text = ",".join(map(str, place))
    found = build_rois(grid, parse_roi(f"seed={text},2"))["seed"].reshape(SHAPE)
    assert np.argwhere(found).tolist() == [[2, 2, 1], [2, 3, 1], [2, 4, 1]]


def test_masks_are_named_by_entity_or_file(grid, tmp_path, rng):
    folder = tmp_path / "rois"
    folder.mkdir()
    masks = {}
    for file, name in (
        ("tpl_label-FFA_mask.nii.gz", "FFA"),
        ("early_visual.nii", "earlyvisual"),
        ("roi-OFA.nii", "OFA"),
    ):
        masks[name] = rng.random(SHAPE) < 0.4
        _save(masks[name], folder / file)
    (folder / "README").write_text("no mask", encoding="utf-8")
    found = build_rois(grid, parse_roi(str(folder)))
    assert list(found) == ["earlyvisual", "OFA", "FFA"]
    for name, mask in masks.items():
        assert np.array_equal(found[name], mask.ravel())
    assert parse_roi(str(folder / "early_visual.nii"))[0].name == "earlyvisual"
    assert parse_roi("V1=some/ffa.nii")[0] == RoiSpec("V1", "some/ffa.nii")


def test_labels_of_an_atlas_are_numbers_or_names(grid, atlas, tmp_path):
    values = nibabel.load(atlas).get_fdata().ravel()
    (spec,) = parse_roi(f"V1={atlas}:1+3")
    assert np.array_equal(build_rois(grid, [spec])["V1"], np.isin(values, [1, 3]))
    (tmp_path / "atlas.tsv").write_text("index\tname\n2\tcalcarine\n4\tfusiform\n", encoding="utf-8")
    named = build_rois(grid, parse_roi(f"FFA={atlas}:fusiform"))["FFA"]
    assert np.array_equal(named, values == 4)
    (tmp_path / "other.csv").write_text("value,region\n1,fusiform\n", encoding="utf-8")
    named = build_rois(grid, parse_roi(f"FFA={atlas}:fusiform"), atlas_table=tmp_path / "other.csv")["FFA"]
    assert np.array_equal(named, values == 1)


def test_subject_and_session_are_filled_in(grid, tmp_path):
    mask = np.zeros(SHAPE)
    mask[1, 2, 3] = 1
    _save(mask, tmp_path / "sub-07_ses-b_ffa.nii")
    specs = parse_roi(f"FFA={tmp_path}/sub-{{subject}}_ses-{{session}}_ffa.nii")
    assert build_rois(grid, specs, subject="07", session="b")["FFA"].sum() == 1
    with pytest.raises(StoreError, match=r"sub-08_ses-b_ffa.nii does not exist"):
        build_rois(grid, specs, subject="08", session="b")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("FFA", "region 'FFA' must read NAME=x,y,z,r"),
        ("my-roi=1,2,3,4", r"name 'my-roi' may have only letters \(A to Z\) and digits"),
        ("OFA=1,2,3", "a sphere is x,y,z and a radius above 0"),
        ("OFA=1,2,3,0", "a radius above 0"),
        ("=1,2,3,4", "the name '' may have"),
    ],
)
def test_what_is_no_region_is_refused(text, message):
    with pytest.raises(ValueError, match=message):
        parse_roi(text)


def test_an_empty_region_is_refused(grid, atlas, tmp_path):
    with pytest.raises(ValueError, match=r"OFA is empty: no voxel lies within 3 mm of \(400, 0, 0\)"):
        build_rois(grid, parse_roi("OFA=400,0,0,3"))
    with pytest.raises(ValueError, match=r"V1 is empty: atlas .* has no voxel with 9; it has: 1, 2, 3, 4"):
        build_rois(grid, parse_roi(f"V1={atlas}:9"))
    with pytest.raises(ValueError, match="is empty: no voxel is inside"):
        build_rois(grid, [RoiSpec("V1", _save(np.zeros(SHAPE), tmp_path / "none.nii"))])
    (tmp_path / "bare").mkdir()
    with pytest.raises(StoreError, match="has no mask"):
        parse_roi(str(tmp_path / "bare"))
    with pytest.raises(ValueError, match="name a region"):
        build_rois(grid, [])
    with pytest.raises(ValueError, match="'A' is named twice"):
        build_rois(grid, parse_roi("A=0,0,5,9") * 2)
    with pytest.raises(ValueError, match="'ofa' and 'OFA' differ only in capitals"):
        build_rois(grid, [*parse_roi("ofa=0,0,5,9"), *parse_roi("OFA=0,0,5,9")])


def test_what_is_no_atlas_is_refused(grid, atlas, tmp_path):
    with pytest.raises(
        StoreError, match=r"label 'fusiform' of atlas .* is a name, and table .*atlas.tsv does not exist"
    ):
        build_rois(grid, parse_roi(f"FFA={atlas}:fusiform"))
    (tmp_path / "atlas.tsv").write_text("index\tname\n2\tcalcarine\n4\tfusiform\n", encoding="utf-8")
    with pytest.raises(ValueError, match=r"has no one number for label 'fusifrom'.*Did you mean 'fusiform'"):
        build_rois(grid, parse_roi(f"FFA={atlas}:fusifrom"))
    (tmp_path / "atlas.tsv").write_text("a\tb\n2\tcalcarine\n", encoding="utf-8")
    with pytest.raises(ValueError, match="needs a column name and a column index; it has: a, b"):
        build_rois(grid, parse_roi(f"FFA={atlas}:fusiform"))
    shares = _save(np.full(SHAPE, 0.5), tmp_path / "shares.nii")
    with pytest.raises(ValueError, match="numbers that are not whole"):
        build_rois(grid, parse_roi(f"V1={shares}:1"))
    moved = AFFINE.copy()
    moved[0, 3] += 3
    with pytest.raises(ValueError, match=r"atlas .*moved.nii has another affine than bold.nii"):
        build_rois(grid, parse_roi(f"V1={_save(np.ones(SHAPE), tmp_path / 'moved.nii', moved)}:1"))
