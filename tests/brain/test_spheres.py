import itertools

import numpy as np
import pytest

from fernet_neuro.brain.images import compute_coordinates
from fernet_neuro.brain.spheres import Neighbourhoods, build_neighbourhoods

AFFINE = np.array([[2.0, 0, 0, -31.7], [0, 2.0, 0, 11.3], [0, 0, 3.0, -8.9], [0, 0, 0, 1]])


@pytest.fixture
def mask(rng):
    return rng.random((6, 7, 5)) < 0.7


@pytest.fixture
def positions(mask):
    return compute_coordinates(mask, AFFINE)


def test_spheres_hold_all_voxels_within_the_radius(positions):
    found = build_neighbourhoods(positions, radius=5, fewest=1)
    distances = np.linalg.norm(positions[:, None] - positions, axis=2)
    assert found.centres.tolist() == list(range(len(positions)))
    for number in range(found.n_centres):
        assert found.get(number).tolist() == np.flatnonzero(distances[number] <= 5 + 1e-6).tolist()


def test_a_voxel_at_exactly_the_radius_belongs_to_both_sides():
    # Affines in single precision put voxels at 9.999999 or 10.000001 mm.
    steps = np.float32(1.1) * np.arange(41)
    line = np.column_stack([steps - np.float32(17.3), np.zeros((41, 2))]).astype(np.float64)
    found = build_neighbourhoods(line, radius=5.5, fewest=1)
    assert set(found.sizes[5:-5]) == {11}


def test_spheres_are_rsatoolboxs_in_a_whole_box():
    from contextlib import redirect_stderr, redirect_stdout
    from io import StringIO

    from fernet_neuro.rsa.files.toolbox import import_rsatoolbox

    import_rsatoolbox()
    from rsatoolbox.util.searchlight import get_volume_searchlight

    box = np.ones((6, 5, 7))
    with redirect_stdout(StringIO()), redirect_stderr(StringIO()):
        # It leaves out what lies at exactly the radius, and edges where a sphere is not whole.
        centres, theirs = get_volume_searchlight(box, radius=2.1, threshold=0, truncate_at_boundary=True)
    ours = build_neighbourhoods(compute_coordinates(box > 0, np.eye(4)), radius=2.1, fewest=1)
    assert ours.centres.tolist() == centres.tolist()
    assert [ours.get(row).tolist() for row in range(ours.n_centres)] == [sorted(part) for part in theirs]


def test_the_nearest_voxels_are_the_nearest(positions):
    found = build_neighbourhoods(positions, n_nearest=13)
    distances = np.linalg.norm(positions[:, None] - positions, axis=2)
    assert set(found.sizes) == {13}
    for number in range(found.n_centres):
        inside = found.get(number)
        assert number in inside
        assert len(set(inside.tolist())) == 13
        outside = np.setdiff1d(np.arange(len(positions)), inside)
        assert distances[number, inside].max() <= distances[number, outside].min() + 1e-9


def test_small_neighbourhoods_are_no_centres_but_belong_to_others(positions):
    everywhere = build_neighbourhoods(positions, radius=4, fewest=1)
    found = build_neighbourhoods(positions, radius=4, fewest=8)
    assert found.centres.tolist() == np.flatnonzero(everywhere.sizes >= 8).tolist()
    assert 0 < found.n_centres < found.n_voxels == len(positions)
    for number, centre in enumerate(found.centres):
        assert found.get(number).tolist() == everywhere.get(centre).tolist()
    assert np.setdiff1d(found.members, found.centres).size


def test_a_radius_below_the_grid_is_refused(positions):
    with pytest.raises(ValueError, match=r"no voxel has .* 10 voxels.*1.5 mm the largest has 1"):
        build_neighbourhoods(positions, radius=1.5)


def test_one_measure_of_size_is_needed(positions):
    for options in ({}, {"radius": 4, "n_nearest": 9}):
        with pytest.raises(ValueError, match="either radius=MM or n_nearest=VOXELS"):
            build_neighbourhoods(positions, **options)
    with pytest.raises(ValueError, match="n_nearest must be"):
        build_neighbourhoods(positions, n_nearest=len(positions) + 1)
    with pytest.raises(ValueError, match=r"positions must have shape \(n_voxels, 3\)"):
        build_neighbourhoods(positions[:, :2], radius=4)
    with pytest.raises(ValueError, match="positions must be finite"):
        build_neighbourhoods(positions * np.nan, radius=4)


def test_neighbourhoods_that_cannot_be_are_refused():
    assert Neighbourhoods.from_lists([[0, 2], [1]], [2, 1], 3).sizes.tolist() == [2, 1]
    for parts, centres, message in (
        ([[0, 1], []], [0, 1], r"1 of 2 neighbourhoods are empty \(first: that of voxel 1\)"),
        ([[0, 3]], [0], "name voxels 0 to 3; there are 3"),
        ([[0, -1]], [0], "name voxels -1 to 0"),
        ([[0]], [0, 1], "1 neighbourhoods but 2 centres"),
        ([], [], "there is no neighbourhood"),
    ):
        with pytest.raises(ValueError, match=message):
            Neighbourhoods.from_lists(parts, centres, 3)
    with pytest.raises(ValueError, match="2 in all; got 3"):
        Neighbourhoods(np.array([0]), np.array([0, 1]), np.array([0, 1, 2]), 3)


def test_boxes_of_voxels_have_the_count_of_a_sphere():
    grid = 3.0 * np.array(list(itertools.product(range(9), repeat=3)))
    found = build_neighbourhoods(grid, radius=9, fewest=1)
    # Integer points within a radius of 3: 1 + 6 + 12 + 8 + 6 + 24 + 24 + 12 + 30.
    assert found.sizes.max() == 123
