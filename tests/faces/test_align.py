import numpy as np
import pytest
from PIL import Image
from scipy.optimize import minimize

from fernet_neuro.faces.align import (
    TEMPLATE,
    align_face,
    estimate_similarity,
    make_template,
    warp_picture,
)


def make_matrix(scale, degrees, shift):
    angle = np.radians(degrees)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return np.column_stack([scale * turn, shift])


def solve_normal_equations(source, target):
    """Return the matrix that is linear in (a, b, c, d) and best in least squares: no SVD of ours."""
    rows, values = [], []
    for (x, y), (u, v) in zip(source, target, strict=True):
        rows += [[x, -y, 1, 0], [y, x, 0, 1]]
        values += [u, v]
    (a, b, c, d), *_ = np.linalg.lstsq(np.array(rows), np.array(values), rcond=None)
    return np.array([[a, -b, c], [b, a, d]])


@pytest.mark.parametrize("degrees", [-170, -35, 0, 90, 123])
def test_a_known_turn_scale_and_shift_is_found(degrees, rng):
    source = rng.normal(size=(7, 2)) * 30
    matrix = make_matrix(1.7, degrees, (11, -4))
    found = estimate_similarity(source, source @ matrix[:, :2].T + matrix[:, 2])
    np.testing.assert_allclose(found.matrix, matrix, atol=1e-9)
    assert (found.scale, found.angle) == (pytest.approx(1.7), pytest.approx(degrees))
    assert found.residual == pytest.approx(0, abs=1e-9)


def test_noisy_points_agree_with_the_normal_equations_and_with_a_slow_search(rng):
    source = rng.normal(size=(5, 2)) * 30 + 60
    target = TEMPLATE + rng.normal(size=(5, 2)) * 4
    found = estimate_similarity(source, target)
    np.testing.assert_allclose(found.matrix, solve_normal_equations(source, target), atol=1e-9)

    def cost(p):
        return ((source @ make_matrix(p[0], p[1], p[2:])[:, :2].T + p[2:] - target) ** 2).sum()

    starts = [(0.5, degrees, 0, 0) for degrees in (-120, 0, 120)]
    best = min((minimize(cost, start, method="BFGS") for start in starts), key=lambda result: result.fun)
    assert 5 * found.residual**2 == pytest.approx(best.fun, rel=1e-6)
    np.testing.assert_allclose(found.apply(source), source @ found.matrix[:, :2].T + found.matrix[:, 2])


def test_a_mirrored_face_is_turned_and_never_mirrored(rng):
    source = rng.normal(size=(6, 2)) * 20
    found = estimate_similarity(source, source * [-1, 1])
    assert np.linalg.det(found.matrix[:, :2]) >= 0
    assert found.residual > 5
    np.testing.assert_allclose(found.matrix, solve_normal_equations(source, source * [-1, 1]), atol=1e-9)


def test_agrees_with_scikit_image(rng):
    transform = pytest.importorskip("skimage.transform")
    source, target = rng.normal(size=(5, 2)) * 30, TEMPLATE + rng.normal(size=(5, 2))
    other = transform.SimilarityTransform.from_estimate(source, target)
    np.testing.assert_allclose(estimate_similarity(source, target).matrix, other.params[:2], atol=1e-8)


def test_two_points_are_met_exactly():
    found = estimate_similarity([[0, 0], [3, 4]], [[1, 1], [1, 11]])
    assert found.scale == pytest.approx(2)
    assert found.residual == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize(
    ("source", "target", "message"),
    [
        (np.zeros((5, 3)), np.zeros((5, 3)), r"must both have shape \(n_points, 2\)"),
        (np.zeros((4, 2)), np.zeros((5, 2)), r"got \(4, 2\) and \(5, 2\)"),
        (np.zeros((1, 2)), np.zeros((1, 2)), "two or more points"),
        (np.ones((5, 2)), TEMPLATE, "points that differ"),
        (TEMPLATE, np.ones((5, 2)), "points that differ"),
        (np.where(TEMPLATE > 92.3, np.nan, TEMPLATE), TEMPLATE, "must be finite"),
    ],
)
def test_points_that_fix_no_transform_are_refused(source, target, message):
    with pytest.raises(ValueError, match=message):
        estimate_similarity(source, target)


def test_the_template_doubles_with_the_picture():
    np.testing.assert_array_equal(make_template(224), 2 * TEMPLATE)
    with pytest.raises(ValueError, match=r"size='96' is not known; use one of: 112, 150, 224"):
        make_template(96)


def draw_dots(points, height, width, sigma):
    """Return a dark picture with a soft bright dot at each point (column, row)."""
    rows, columns = np.mgrid[:height, :width]
    light = sum(np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * sigma**2)) for x, y in points)
    return np.repeat(np.round(255 * np.clip(light, 0, 1)).astype(np.uint8)[:, :, None], 3, axis=2)


def find_dots(picture, points, reach):
    """Return the centre of light within `reach` of each expected point."""
    grey = picture[:, :, 0].astype(float)
    rows, columns = np.mgrid[: grey.shape[0], : grey.shape[1]]
    found = []
    for x, y in points:
        weight = grey * (np.hypot(columns - x, rows - y) < reach)
        found.append([(weight * columns).sum() / weight.sum(), (weight * rows).sum() / weight.sum()])
    return np.array(found)


@pytest.mark.parametrize(
    ("size", "scale"), [(112, 1.0), (224, 1.0), (112, 0.7), (112, 3.3), (224, 5.5), (112, 9.0)]
)
def test_points_land_on_the_template_to_a_fraction_of_a_pixel(size, scale):
    # The picture is `scale` times as large as the result, turned and moved.
    matrix = make_matrix(scale * size / 112, 17, (30 * scale, -12 * scale))
    points = TEMPLATE @ matrix[:, :2].T + matrix[:, 2]
    height, width = (int(v) for v in np.ceil(points.max(axis=0))[::-1] + 40 * scale)
    picture = draw_dots(points, height, width, sigma=2.2 * scale * size / 112)
    aligned, similarity = align_face(picture, points, size)
    assert aligned.shape == (size, size, 3)
    assert similarity.scale == pytest.approx(1 / scale)
    assert similarity.angle == pytest.approx(-17)
    found = find_dots(aligned, make_template(size), reach=6 * size / 112)
    np.testing.assert_allclose(found, make_template(size), atol=0.12)


def test_a_whole_turn_of_nothing_changes_nothing(rng):
    picture = rng.integers(0, 256, (112, 112, 3), dtype=np.uint8)
    aligned, _ = align_face(picture, TEMPLATE)
    assert np.abs(aligned.astype(int) - picture).max() <= 1  # Pillow rounds down


def test_beyond_the_edge_is_the_background():
    picture = np.full((112, 112, 3), 200, dtype=np.uint8)
    aligned, _ = align_face(picture, TEMPLATE + 50, background=(10, 20, 30))
    assert aligned[-40, -40].tolist() == [10, 20, 30]
    assert aligned[5, 5].tolist() == [200, 200, 200]


def test_shrinking_averages_over_what_lies_between_the_samples():
    checks = (np.indices((1120, 1120)).sum(axis=0) % 2 * 255).astype(np.uint8)
    aligned, _ = align_face(np.repeat(checks[:, :, None], 3, axis=2), TEMPLATE * 10)
    assert np.abs(aligned[5:-5, 5:-5].astype(int) - 127).max() <= 1


def test_agrees_with_opencv_where_nothing_shrinks(rng):
    cv2 = pytest.importorskip("cv2")
    small = Image.fromarray(rng.integers(0, 256, (12, 15, 3), dtype=np.uint8))
    picture = np.array(small.resize((150, 120), Image.Resampling.BICUBIC))
    similarity = estimate_similarity(TEMPLATE @ make_matrix(0.8, -9, (25, 9))[:, :2].T + [25, 9], TEMPLATE)
    ours = warp_picture(picture, similarity, 112)
    theirs = cv2.warpAffine(picture, similarity.matrix, (112, 112), borderValue=(128, 128, 128))
    assert np.abs(ours[12:-12, 12:-12].astype(int) - theirs[12:-12, 12:-12]).max() <= 3


def test_a_transform_to_a_point_is_refused():
    flat = estimate_similarity(TEMPLATE, TEMPLATE)
    flat.matrix[:, :2] = 0
    with pytest.raises(ValueError, match="no face"):
        warp_picture(np.zeros((9, 8, 3), dtype=np.uint8), flat, 112)
