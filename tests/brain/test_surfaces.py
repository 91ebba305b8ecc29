import nibabel
import numpy as np
import pytest
from nibabel.gifti import GiftiDataArray, GiftiImage

from fernet_neuro.brain.pipeline import (
    PatternSettings,
    compute_labelled_patterns,
    compute_run_patterns,
    pair_runs,
)
from fernet_neuro.brain.rois import build_rois, parse_roi
from fernet_neuro.brain.surfaces import SurfaceGrid, is_surface
from fernet_neuro.exceptions import StoreError

N_LEFT, N_RIGHT = 9, 7


def _save_mesh(path, n_vertices, centre):
    """A fan of triangles around the first vertex."""
    angles = np.linspace(0, 2 * np.pi, n_vertices - 1, endpoint=False)
    ring = np.stack([np.cos(angles), np.sin(angles), np.zeros_like(angles)], axis=1) * 10
    points = np.vstack([[0, 0, 0], ring]) + centre
    rim = np.arange(1, n_vertices)
    faces = np.stack([np.zeros_like(rim), rim, np.roll(rim, -1)], axis=1)
    arrays = [
        GiftiDataArray(points.astype(np.float32), intent="NIFTI_INTENT_POINTSET"),
        GiftiDataArray(faces.astype(np.int32), intent="NIFTI_INTENT_TRIANGLE"),
    ]
    nibabel.save(GiftiImage(darrays=arrays), path)
    return points


def _save_data(values, stem):
    """Rows of both hemispheres as two files; return their name."""
    paths = []
    for side, part in zip("LR", np.split(np.atleast_2d(values), [N_LEFT], axis=1), strict=True):
        arrays = [GiftiDataArray(row.astype(np.float32)) for row in part]
        paths.append(f"{stem}_hemi-{side}.func.gii")
        nibabel.save(GiftiImage(darrays=arrays), paths[-1])
    return ",".join(paths)


@pytest.fixture
def mesh(tmp_path):
    places = [
        _save_mesh(tmp_path / f"{side}.surf.gii", size, centre)
        for side, size, centre in (("L", N_LEFT, [-30, 0, 0]), ("R", N_RIGHT, [30, 0, 0]))
    ]
    return f"{tmp_path}/L.surf.gii,{tmp_path}/R.surf.gii", np.concatenate(places)


@pytest.fixture
def mask(tmp_path):
    inside = np.zeros(N_LEFT + N_RIGHT)
    inside[[0, 3, 4, 8, 9, 13]] = 1
    return _save_data(inside, tmp_path / "ffa"), inside.astype(bool)


def test_values_are_read_left_then_right(mesh, mask, tmp_path, rng):
    grid = SurfaceGrid.of(mesh[0])
    assert grid.n_points == 16
    assert np.allclose(grid.coordinates, mesh[1], atol=1e-5)
    values = rng.normal(size=(5, 16)).astype(np.float32)
    name = _save_data(values, tmp_path / "betas")
    assert np.array_equal(grid.read_mask(mask[0]), mask[1])
    assert np.array_equal(grid.read(name, mask[1]), values[:, mask[1]])
    one = _save_data(values[2], tmp_path / "one")
    assert np.array_equal(grid.read(one, mask[1]), values[2:3, mask[1]])


def test_what_is_written_is_read_again(mesh, mask, tmp_path, rng):
    grid = SurfaceGrid.of(mesh[0])
    values = rng.normal(size=(3, 6)).astype(np.float32)
    paths = grid.write(tmp_path / "out", values, mask[1])
    assert [path.name for path in paths] == ["out_hemi-L.func.gii", "out_hemi-R.func.gii"]
    back = grid.read(",".join(map(str, paths)), np.ones(16, dtype=bool))
    assert np.array_equal(back[:, mask[1]], values)
    assert not back[:, ~mask[1]].any()


def test_regions_lie_on_the_mesh(mesh, mask, tmp_path):
    grid = SurfaceGrid.of(mesh[0])
    labels = _save_data(np.arange(16) % 4, tmp_path / "atlas")
    specs = [
        spec for text in ("OFA=30,0,0,1", f"FFA={mask[0]}", f"V1={labels}:2") for spec in parse_roi(text)
    ]
    found = build_rois(grid, specs)
    assert np.flatnonzero(found["OFA"]).tolist() == [N_LEFT]
    assert np.array_equal(found["FFA"], mask[1])
    assert np.flatnonzero(found["V1"]).tolist() == [2, 6, 10, 14]


def test_betas_and_bold_become_patterns(mesh, mask, tmp_path, rng):
    values = rng.normal(size=(6, 16)).astype(np.float32)
    name = _save_data(values, tmp_path / "betas")
    (tmp_path / "betas.tsv").write_text(
        "stimulus_id\trun\n" + "a\t1\nb\t1\na\t2\nb\t2\na\t3\nb\t3\n", encoding="utf-8"
    )
    settings = PatternSettings(tuple(parse_roi(f"FFA={mask[0]}")), mesh=mesh[0], noise="none")
    found = compute_labelled_patterns([name], str(tmp_path / "betas.tsv"), settings, subject="01")
    assert np.array_equal(found.regions[0].patterns.values, values[:, mask[1]])
    bold = _save_data(rng.normal(size=(40, 16)) + 100, tmp_path / "bold")
    (tmp_path / "events.tsv").write_text("onset\tduration\ttrial_type\n4\t2\ta\n30\t2\tb\n", encoding="utf-8")
    files = pair_runs([bold], [str(tmp_path / "events.tsv")], [], subject="01")
    with pytest.raises(ValueError, match="does not say its repetition time"):
        compute_run_patterns(files, settings)
    timed = PatternSettings(settings.rois, mesh=mesh[0], t_r=2.0)
    found = compute_run_patterns(files, timed)
    assert found.regions[0].patterns.values.shape == (2, 6)
    assert found.regions[0].patterns.noise_covariance.shape == (6, 6)


def test_data_of_another_mesh_are_refused(mesh, mask, tmp_path):
    grid = SurfaceGrid.of(mesh[0])
    short = _save_data(np.zeros((2, 15)), tmp_path / "short")
    with pytest.raises(
        ValueError, match=r"short_hemi-R.func.gii has 6 vertices, the right mesh of .* 7: another space"
    ):
        grid.read(short, mask[1])
    with pytest.raises(ValueError, match="has several values per vertex"):
        grid.read_mask(_save_data(np.ones((2, 16)), tmp_path / "two"))
    with pytest.raises(ValueError, match="is empty: no vertex is inside"):
        grid.read_mask(_save_data(np.zeros(16), tmp_path / "none"))
    with pytest.raises(ValueError, match="holds 15 values besides 0"):
        grid.read_mask(_save_data(np.arange(16), tmp_path / "many"))


def test_files_that_are_no_surfaces_are_refused(mesh, mask, tmp_path):
    assert is_surface(mesh[0])
    assert not is_surface("bold.nii.gz")
    with pytest.raises(ValueError, match="must be two files, LEFT,RIGHT"):
        SurfaceGrid.of("L.surf.gii")
    with pytest.raises(StoreError, match=r"none.gii does not exist"):
        SurfaceGrid.of(f"{tmp_path}/L.surf.gii,{tmp_path}/none.gii")
    (tmp_path / "text.gii").write_text("no mesh", encoding="utf-8")
    with pytest.raises(StoreError, match=r"mesh .*text.gii cannot be read"):
        SurfaceGrid.of(f"{tmp_path}/L.surf.gii,{tmp_path}/text.gii")
    with pytest.raises(StoreError, match=r"surface files .*text.gii cannot be read"):
        SurfaceGrid.of(mesh[0]).read(f"{tmp_path}/L.surf.gii,{tmp_path}/text.gii", mask[1])
