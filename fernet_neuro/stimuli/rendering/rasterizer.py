"""A compiled z-buffer: vertices to pixels, with lighting, anti-aliasing and the drawn style.

What belongs here: numba kernels that know triangles and lights but nothing of faces. They use no fast maths,
no transcendental functions and no parallel sums, so that pictures are the same on every x86 machine.
"""

import numpy as np

from fernet_neuro._utils.compiling import njit

#: Depth of an empty sample; every vertex lies nearer.
FAR = np.float32(-1e9)
#: Material number of an empty sample.
NOTHING = 255
#: Columns of the lit attributes of a vertex: key light, ambient light, specular.
KEY, AMBIENT, SPECULAR = 0, 1, 2
#: Light levels between which the drawn style steps, and the tone of each step.
TONE_LIMITS = (0.42, 0.74)
TONES = (0.50, 0.76, 1.0)


@njit(cache=True, nogil=True)
def blend(base: np.ndarray, deltas: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return ``base + sum_k weights[k] * deltas[k]``, skipping zero weights, in a fixed order.

    `base` (n_values,). `deltas` (n_deltas, n_values). `weights` (n_deltas,). Returns an array (n_values,).
    """
    # A matrix product would add in an order that differs between machines.
    result = base.copy()
    for k in range(weights.shape[0]):
        weight = weights[k]
        if weight != 0:
            for i in range(base.shape[0]):
                result[i] += weight * deltas[k, i]
    return result


@njit(cache=True, nogil=True)
def compute_normals(vertices: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """Return unit vertex normals, the area-weighted means over the adjoining triangles.

    `vertices` (n_vertices, 3). `triangles` (n_triangles, 3): counter-clockwise seen from outside. Returns an
    array (n_vertices, 3).
    """
    normals = np.zeros_like(vertices)
    for t in range(triangles.shape[0]):
        a, b, c = triangles[t, 0], triangles[t, 1], triangles[t, 2]
        ux, uy, uz = (
            vertices[b, 0] - vertices[a, 0],
            vertices[b, 1] - vertices[a, 1],
            vertices[b, 2] - vertices[a, 2],
        )
        vx, vy, vz = (
            vertices[c, 0] - vertices[a, 0],
            vertices[c, 1] - vertices[a, 1],
            vertices[c, 2] - vertices[a, 2],
        )
        nx, ny, nz = uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx
        for v in (a, b, c):
            normals[v, 0] += nx
            normals[v, 1] += ny
            normals[v, 2] += nz
    for v in range(normals.shape[0]):
        length = np.sqrt(
            normals[v, 0] * normals[v, 0] + normals[v, 1] * normals[v, 1] + normals[v, 2] * normals[v, 2]
        )
        if length > 0:
            normals[v, 0] /= length
            normals[v, 1] /= length
            normals[v, 2] /= length
    return normals


@njit(cache=True, nogil=True)
def turn(vertices: np.ndarray, matrix: np.ndarray, centre: np.ndarray) -> np.ndarray:
    """Return vertices (n_vertices, 3) turned by a rotation matrix about `centre`."""
    turned = np.empty_like(vertices)
    for v in range(vertices.shape[0]):
        x, y, z = vertices[v, 0] - centre[0], vertices[v, 1] - centre[1], vertices[v, 2] - centre[2]
        for k in range(3):
            turned[v, k] = x * matrix[k, 0] + y * matrix[k, 1] + z * matrix[k, 2] + centre[k]
    return turned


@njit(cache=True, nogil=True)
def project(
    vertices: np.ndarray, centre: np.ndarray, distance: float, scale: float, middle: float
) -> np.ndarray:
    """Return screen positions (column, row, depth) under a perspective camera on the z axis.

    `vertices` (n_vertices, 3): already turned; the camera looks along -z. `centre` (3,): the point shown in
    the middle of the picture. `distance`: from the camera to `centre`, in the unit of the vertices. `scale`:
    samples per unit at the depth of `centre`. `middle`: column and row of the middle, in samples. Returns an
    array (n_vertices, 3): depth grows towards the camera.
    """
    screen = np.empty_like(vertices)
    for v in range(vertices.shape[0]):
        depth = vertices[v, 2] - centre[2]
        factor = scale * distance / (distance - depth)
        screen[v, 0] = middle + (vertices[v, 0] - centre[0]) * factor
        screen[v, 1] = middle - (vertices[v, 1] - centre[1]) * factor
        screen[v, 2] = depth
    return screen


@njit(cache=True, nogil=True)
def light_vertices(normals: np.ndarray, shade: np.ndarray, light: np.ndarray, wrap: float) -> np.ndarray:
    """Return key light, ambient light and specular of each vertex, shape (n_vertices, 3).

    `normals` (n_vertices, 3). `shade` (n_vertices,): share of the light that reaches the vertex: hollows and
    folds are darker than 1. `light` (3,): unit vector towards the key light. `wrap`: how far light bleeds
    past the terminator, as it does in skin; 0 is Lambert's law.
    """
    lit = np.empty((normals.shape[0], 3), np.float32)
    hx, hy, hz = light[0], light[1], light[2] + 1
    length = np.sqrt(hx * hx + hy * hy + hz * hz)
    hx, hy, hz = hx / length, hy / length, hz / length
    for v in range(normals.shape[0]):
        nx, ny, nz = normals[v, 0], normals[v, 1], normals[v, 2]
        dot = (nx * light[0] + ny * light[1] + nz * light[2] + wrap) / (1 + wrap)
        lit[v, KEY] = max(dot, 0.0) * shade[v]
        lit[v, AMBIENT] = (0.72 + 0.28 * ny) * shade[v]
        gloss = max(nx * hx + ny * hy + nz * hz, 0.0)
        gloss = gloss * gloss
        gloss = gloss * gloss
        gloss = gloss * gloss
        gloss = gloss * gloss
        lit[v, SPECULAR] = gloss * shade[v]
    return lit


@njit(cache=True, nogil=True)
def rasterise(
    screen: np.ndarray,
    triangles: np.ndarray,
    materials: np.ndarray,
    two_sided: np.ndarray,
    attributes: np.ndarray,
    size: int,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Draw triangles into a z-buffer, interpolating vertex attributes in the plane of the screen.

    A sample belongs to a triangle when its centre lies inside or on the edge; of equal depths the first wins.

    Parameters
    ----------
    screen : ndarray of shape (n_vertices, 3), float32
        Column, row and depth (larger is nearer) in samples.
    triangles : ndarray of shape (n_triangles, 3), int32
    materials : ndarray of shape (n_triangles,), uint8
    two_sided : ndarray of shape (n_materials,), bool
        Materials whose triangles are drawn from behind too.
    attributes : ndarray of shape (n_vertices, n_attributes), float32
    size : int
        Rows and columns of the square buffer, in samples.

    Returns
    -------
    values : ndarray of shape (size, size, n_attributes), float32
    depth : ndarray of shape (size, size), float32
        `FAR` where nothing was drawn.
    material : ndarray of shape (size, size), uint8
        `NOTHING` where nothing was drawn.
    """
    n_attributes = attributes.shape[1]
    values = np.zeros((size, size, n_attributes), np.float32)
    depth = np.full((size, size), FAR, np.float32)
    material = np.full((size, size), NOTHING, np.uint8)
    for t in range(triangles.shape[0]):
        a, b, c = triangles[t, 0], triangles[t, 1], triangles[t, 2]
        ax, ay = screen[a, 0], screen[a, 1]
        bx, by = screen[b, 0], screen[b, 1]
        cx, cy = screen[c, 0], screen[c, 1]
        # Rows grow downwards, so that a triangle seen from outside has a negative area here.
        area = (bx - ax) * (cy - ay) - (cx - ax) * (by - ay)
        if area == 0 or (area > 0 and not two_sided[materials[t]]):
            continue
        left = max(int(np.ceil(min(ax, bx, cx) - 0.5)), 0)
        right = min(int(np.floor(max(ax, bx, cx) - 0.5)), size - 1)
        top = max(int(np.ceil(min(ay, by, cy) - 0.5)), 0)
        bottom = min(int(np.floor(max(ay, by, cy) - 0.5)), size - 1)
        scale = 1.0 / area
        for row in range(top, bottom + 1):
            y = row + 0.5
            for column in range(left, right + 1):
                x = column + 0.5
                # Each weight from its own edge: two triangles that share an edge leave no gap between them.
                wa = ((bx - x) * (cy - y) - (cx - x) * (by - y)) * scale
                wb = ((cx - x) * (ay - y) - (ax - x) * (cy - y)) * scale
                wc = ((ax - x) * (by - y) - (bx - x) * (ay - y)) * scale
                if wa < 0 or wb < 0 or wc < 0:
                    continue
                z = wa * screen[a, 2] + wb * screen[b, 2] + wc * screen[c, 2]
                if z > depth[row, column]:
                    depth[row, column] = z
                    material[row, column] = materials[t]
                    for k in range(n_attributes):
                        values[row, column, k] = (
                            wa * attributes[a, k] + wb * attributes[b, k] + wc * attributes[c, k]
                        )
    return values, depth, material


@njit(cache=True, nogil=True)
def shade_samples(
    values: np.ndarray,
    material: np.ndarray,
    palette: np.ndarray,
    gloss: np.ndarray,
    lamps: np.ndarray,
    background: np.ndarray,
    drawn: bool,
) -> np.ndarray:
    """Return linear colours (size, size, 3) of the samples from their albedo, light and material.

    `values` (size, size, 6): red, green, blue albedo, key light, ambient light, specular. `material` (size,
    size). `palette` (n_materials, 3): linear albedo of each material; a negative red says: use the
    interpolated albedo. `gloss` (n_materials,). `lamps` (2, 3): linear colours of the key light and of the
    ambient light. `background` (3,). `drawn`: step the light to `TONES` instead of shading smoothly.
    """
    size = values.shape[0]
    colours = np.empty((size, size, 3), np.float32)
    for row in range(size):
        for column in range(size):
            kind = material[row, column]
            if kind == NOTHING:
                colours[row, column] = background
                continue
            key, ambient = values[row, column, 3], values[row, column, 4]
            shine = gloss[kind] * values[row, column, 5]
            if drawn:
                level = key * lamps[0, 1] + ambient * lamps[1, 1]
                tone = (
                    TONES[0] if level < TONE_LIMITS[0] else TONES[1] if level < TONE_LIMITS[1] else TONES[2]
                )
            for k in range(3):
                albedo = palette[kind, k] if palette[kind, 0] >= 0 else values[row, column, k]
                if drawn:
                    colours[row, column, k] = albedo * tone
                else:
                    colours[row, column, k] = albedo * (key * lamps[0, k] + ambient * lamps[1, k]) + shine
    return colours


@njit(cache=True, nogil=True)
def find_edges(depth: np.ndarray, material: np.ndarray, groups: np.ndarray, step: float) -> np.ndarray:
    """Return where a border between material groups or a jump in depth runs, bool (size, size).

    `depth` (size, size). `material` (size, size). `groups` (256,): materials of one group have no border
    between them. `step`: smallest jump in depth that counts, in the unit of the vertices.
    """
    size = depth.shape[0]
    edge = np.zeros((size, size), np.bool_)
    for row in range(size - 1):
        for column in range(size - 1):
            here = groups[material[row, column]]
            for down, right in ((0, 1), (1, 0)):
                there = groups[material[row + down, column + right]]
                jump = depth[row, column] - depth[row + down, column + right]
                if here != there or jump > step or -jump > step:
                    edge[row, column] = True
    return edge


@njit(cache=True, nogil=True)
def draw_lines(colours: np.ndarray, edge: np.ndarray, radius: int) -> None:
    """Blacken, in place, the linear colours (size, size, 3) within `radius` samples of an edge."""
    size = edge.shape[0]
    ink = np.float32(0.012)
    for row, column in np.argwhere(edge):
        for r in range(max(row - radius, 0), min(row + radius + 1, size)):
            for c in range(max(column - radius, 0), min(column + radius + 1, size)):
                if (r - row) * (r - row) + (c - column) * (c - column) <= radius * radius:
                    for k in range(3):
                        colours[r, c, k] = min(colours[r, c, k], ink)


@njit(cache=True, nogil=True)
def develop(colours: np.ndarray, samples: int, table: np.ndarray) -> np.ndarray:
    """Average `samples` x `samples` linear colours per pixel and return 8-bit sRGB.

    `colours` (size * samples, size * samples, 3). `table` (n_levels,): sRGB value of each linear level, see
    `srgb_table`. Returns an array (size, size, 3).
    """
    size = colours.shape[0] // samples
    picture = np.empty((size, size, 3), np.uint8)
    top = table.shape[0] - 1
    share = 1.0 / (samples * samples)
    for row in range(size):
        for column in range(size):
            for k in range(3):
                total = 0.0
                for r in range(samples):
                    for c in range(samples):
                        total += min(max(colours[row * samples + r, column * samples + c, k], 0.0), 1.0)
                picture[row, column, k] = table[int(total * share * top + 0.5)]
    return picture


def srgb_table(n_levels: int = 4096) -> np.ndarray:
    """Return the 8-bit sRGB value of `n_levels` linear levels from 0 to 1 (IEC 61966-2-1)."""
    linear = np.linspace(0, 1, n_levels)
    curved = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return np.round(255 * curved).astype(np.uint8)


def to_linear(srgb: np.ndarray) -> np.ndarray:
    """Return linear float32 colours of sRGB values in [0, 1], any shape."""
    srgb = np.asarray(srgb, dtype=float)
    linear = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
    # Rounded, so that the last bit of a machine's power function cannot reach a pixel.
    return np.round(linear, 5).astype(np.float32)
