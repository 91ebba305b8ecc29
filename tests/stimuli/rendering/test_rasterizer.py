import numpy as np
import pytest

from fernet_neuro.stimuli.rendering import rasterizer as raster

ONE_SIDED = np.zeros(16, dtype=bool)
TWO_SIDED = np.ones(16, dtype=bool)


def slow_rasterise(screen, triangles, materials, two_sided, attributes, size):
    """Solve for barycentric coordinates of every sample in every triangle, in float64."""
    values = np.zeros((size, size, attributes.shape[1]))
    depth = np.full((size, size), float(raster.FAR))
    material = np.full((size, size), raster.NOTHING)
    centres = np.stack(np.meshgrid(np.arange(size) + 0.5, np.arange(size) + 0.5), axis=-1).reshape(-1, 2)
    for corners, kind in zip(triangles, materials, strict=True):
        place = screen[corners].astype(float)
        matrix = np.column_stack([place[:, :2], np.ones(3)]).T
        facing = np.linalg.det(matrix)
        if facing == 0 or (facing > 0 and not two_sided[kind]):
            continue
        weights = np.linalg.solve(matrix, np.column_stack([centres, np.ones(len(centres))]).T).T
        inside = (weights >= 0).all(axis=1).reshape(size, size)
        z = (weights @ place[:, 2]).reshape(size, size)
        wins = inside & (z > depth)
        depth[wins], material[wins] = z[wins], kind
        values[wins] = (weights @ attributes[corners].astype(float)).reshape(size, size, -1)[wins]
    return values, depth, material


def random_scene(rng, n_triangles=17, size=23):
    screen = rng.uniform(-4, size + 4, (3 * n_triangles, 3)).astype(np.float32)
    triangles = np.arange(3 * n_triangles, dtype=np.int32).reshape(-1, 3)
    materials = rng.integers(0, 5, n_triangles).astype(np.uint8)
    attributes = rng.random((3 * n_triangles, 4)).astype(np.float32)
    return screen, triangles, materials, attributes, size


@pytest.mark.parametrize("two_sided", [ONE_SIDED, TWO_SIDED], ids=["culled", "two-sided"])
def test_rasterise_agrees_with_a_slow_solver(rng, two_sided):
    screen, triangles, materials, attributes, size = random_scene(rng)
    values, depth, material = raster.rasterise(screen, triangles, materials, two_sided, attributes, size)
    slow = slow_rasterise(screen, triangles, materials, two_sided, attributes, size)
    same = material == slow[2]
    # Samples on an edge may fall to either side in single precision.
    assert same.mean() > 0.995
    assert (material != raster.NOTHING).mean() > 0.2
    np.testing.assert_allclose(values[same], slow[0][same], atol=2e-3)
    np.testing.assert_allclose(depth[same], slow[1][same], atol=2e-3)


def test_the_nearer_triangle_wins_in_any_order():
    square = np.array([[0, 0, 1], [0, 8, 1], [8, 0, 1], [0, 0, 2], [0, 8, 2], [8, 0, 2]], dtype=np.float32)
    colours = np.repeat([[0.2], [0.9]], 3, axis=0).astype(np.float32)
    far, near = [0, 1, 2], [3, 4, 5]
    for order in ([far, near], [near, far]):
        values, _, _ = raster.rasterise(
            square, np.array(order, dtype=np.int32), np.zeros(2, dtype=np.uint8), TWO_SIDED, colours, 8
        )
        assert values[1, 1, 0] == pytest.approx(0.9)


def test_triangles_seen_from_behind_are_left_out():
    corners = np.array([[1, 1, 0], [1, 7, 0], [7, 1, 0]], dtype=np.float32)
    ones, kinds = np.ones((3, 1), dtype=np.float32), np.zeros(1, dtype=np.uint8)
    front, back = np.array([[0, 1, 2]], dtype=np.int32), np.array([[0, 2, 1]], dtype=np.int32)
    drawn = [
        (raster.rasterise(corners, turn, kinds, ONE_SIDED, ones, 8)[2] != raster.NOTHING).sum()
        for turn in (front, back)
    ]
    assert drawn[0] > 10
    assert drawn[1] == 0


def test_neighbouring_triangles_leave_no_gap(rng):
    # A fan of thin triangles around a point must cover its square completely.
    rim = np.array([[0, 0], [0, 20], [20, 20], [20, 0]], dtype=float)
    ring = np.concatenate([np.linspace(rim[i], rim[(i + 1) % 4], 9)[:-1] for i in range(4)])
    screen = np.column_stack([np.vstack([rng.uniform(8, 12, 2), ring]), np.zeros(33)]).astype(np.float32)
    fan = np.array([[0, 1 + i, 1 + (i + 1) % 32] for i in range(32)], dtype=np.int32)
    material = raster.rasterise(
        screen, fan, np.zeros(32, np.uint8), TWO_SIDED, np.ones((33, 1), np.float32), 20
    )[2]
    assert (material == 0).all()


def test_more_samples_bring_the_area_of_a_disc_closer():
    angle = np.linspace(0, 2 * np.pi, 181)[:-1]
    errors = []
    for samples in (1, 2, 4):
        size = 16 * samples
        # Off the lattice: a centred disc gains and loses samples eight at a time.
        middle = np.array([8.23, 7.61, 0.0]) * samples
        ring = np.column_stack([np.cos(angle), np.sin(angle), 0 * angle]) * 5.3 * samples + middle
        screen = np.vstack([middle, ring]).astype(np.float32)
        fan = np.array([[0, 1 + (i + 1) % 180, 1 + i] for i in range(180)], dtype=np.int32)
        material = raster.rasterise(
            screen, fan, np.zeros(180, np.uint8), TWO_SIDED, np.ones((181, 1), np.float32), size
        )[2]
        white = np.repeat((material == 0)[..., None], 3, axis=2).astype(np.float32)
        table = np.round(np.linspace(0, 255, 4096)).astype(np.uint8)
        picture = raster.develop(white, samples, table)[..., 0] / 255
        errors.append(abs(picture.sum() - np.pi * 5.3**2))
        soft = ((picture > 0) & (picture < 1)).sum()
        assert soft == 0 if samples == 1 else soft > 10
    assert errors[2] < 0.5
    assert errors[2] <= errors[0]


def test_normals_of_a_ball_point_outwards():
    from scipy.spatial import ConvexHull

    points = np.random.default_rng(3).normal(size=(400, 3))
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    hull = ConvexHull(points)
    triangles = hull.simplices.copy()
    a, b, c = (points[triangles[:, k]] for k in range(3))
    inwards = (np.cross(b - a, c - a) * a).sum(axis=1) < 0
    triangles[inwards] = triangles[inwards][:, ::-1]
    normals = raster.compute_normals(points.astype(np.float32), triangles.astype(np.int32))
    assert (normals * points).sum(axis=1).min() > 0.95
    np.testing.assert_allclose(np.linalg.norm(normals, axis=1), 1, atol=1e-5)


def test_blend_agrees_with_a_matrix_product(rng):
    base, deltas = rng.normal(size=31).astype(np.float32), rng.normal(size=(5, 31)).astype(np.float32)
    weights = np.array([0.5, 0, -2, 1, 0], dtype=np.float32)
    np.testing.assert_allclose(raster.blend(base, deltas, weights), base + weights @ deltas, atol=1e-5)


def test_light_follows_lamberts_law_without_wrap():
    angles = np.linspace(0, np.pi, 13)
    normals = np.column_stack([np.sin(angles), 0 * angles, np.cos(angles)]).astype(np.float32)
    lit = raster.light_vertices(normals, np.ones(13, np.float32), np.array([0, 0, 1], np.float32), 0.0)
    np.testing.assert_allclose(lit[:, raster.KEY], np.maximum(np.cos(angles), 0), atol=1e-6)
    half = raster.light_vertices(normals, np.full(13, 0.5, np.float32), np.array([0, 0, 1], np.float32), 0.0)
    np.testing.assert_allclose(half, lit / 2, atol=1e-6)


def test_near_things_look_larger():
    points = np.array([[1, 0, 0], [1, 0, 5], [1, 0, -5]], dtype=np.float32)
    screen = raster.project(points, np.zeros(3, np.float32), 100.0, 10.0, 50.0)
    offset = screen[:, 0] - 50
    np.testing.assert_allclose(offset, [10, 10 / 0.95, 10 / 1.05], rtol=1e-5)
    assert screen[1, 2] > screen[0, 2] > screen[2, 2]


def test_srgb_table_inverts_to_linear():
    table = raster.srgb_table()
    grey = np.arange(0, 256, 5)
    levels = raster.to_linear(grey / 255)
    assert np.abs(table[np.round(levels * 4095).astype(int)].astype(int) - grey).max() <= 1


def test_edges_run_between_groups_and_depth_jumps_only():
    depth = np.zeros((6, 6), np.float32)
    depth[:, 3:] = 2.0
    material = np.zeros((6, 6), np.uint8)
    material[3:] = 1
    together, apart = np.zeros(256, np.uint8), np.arange(256).astype(np.uint8)
    assert raster.find_edges(depth, material, together, 5.0).sum() == 0
    assert raster.find_edges(depth, material, together, 1.0)[0].tolist() == [
        False,
        False,
        True,
        False,
        False,
        False,
    ]
    assert raster.find_edges(depth, material, apart, 5.0)[2, :5].all()
    colours = np.ones((6, 6, 3), np.float32)
    raster.draw_lines(colours, raster.find_edges(depth, material, together, 1.0), 0)
    assert ((colours < 1).all(axis=2) == raster.find_edges(depth, material, together, 1.0)).all()
