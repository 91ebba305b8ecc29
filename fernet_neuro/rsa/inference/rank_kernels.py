"""Ranks and signs under multiplicities, compiled: each RDM is sorted once, each sample only counts.

What belongs here: numba kernels over vectors of pairs; they know neither models nor what ceilings are for.
Ranks are twice the mean rank, so that all sums are whole numbers and ties stay ties; where weights are
fractions, all are multiplied by one `unit` that makes them whole, which changes no comparison.
"""

import numpy as np

from fernet_neuro._utils.compiling import njit

#: Buckets of one pass of the radix sort: 11 bits of a key.
_BUCKETS = 1 << 11
#: Subjects of which products with others are taken at once.
_ROWS = 64


@njit(nogil=True, cache=True)
def _weigh(multiplicities, left, right, is_within, level, unit, weights, active):
    """Fill the weights of pairs and their places among those that count; return their number and sum.

    The weights are those of ``weighted.weigh``, times `unit`, and so is `level`.
    """
    n_active, total = 0, 0
    for pair in range(left.size):
        if is_within[pair]:
            weight = multiplicities[left[pair]] * level
        else:
            weight = multiplicities[left[pair]] * multiplicities[right[pair]] * unit
        weights[pair] = weight
        active[pair] = n_active
        if weight > 0:
            n_active += 1
            total += weight
    return n_active, total


@njit(nogil=True, cache=True)
def _rank_sorted(order, steps, weights, active, ranks, groups, walk):
    """Fill ranks and numbers of tie groups by place, and places in ascending order; return groups found."""
    below, within, first, count, group = 0, 0, 0, 0, -1
    for position in range(order.size):
        pair = order[position]
        if steps[position] and within > 0:
            for place in range(first, count):
                ranks[walk[place]] = 2 * below + within + 1
            below += within
            within, first = 0, count
        weight = weights[pair]
        if weight > 0:
            if within == 0:
                group += 1
            walk[count] = active[pair]
            groups[active[pair]] = group
            within += weight
            count += 1
    for place in range(first, count):
        ranks[walk[place]] = 2 * below + within + 1
    return group + 1


@njit(nogil=True, cache=True)
def _rank_grouped(ties, n_ties, weights, active, total, table, centred):
    """Fill ranks less their mean, by place, from numbers of tie groups by pair; `table` is a space for these.

    As `_rank_sorted`, with pairs in the order in which they are in memory.
    """
    table[:n_ties] = 0
    for pair in range(ties.size):
        table[ties[pair]] += weights[pair]
    below = 0
    for group in range(n_ties):
        within = table[group]
        table[group] = 2 * below + within - total
        below += within
    for pair in range(ties.size):
        if weights[pair] > 0:
            centred[active[pair]] = table[ties[pair]]


@njit(nogil=True, cache=True)
def _sort_keys(keys, order, spare, counts):
    """Fill the order of non-negative whole numbers: two or more passes of a radix sort."""
    largest = 0
    for place in range(keys.size):
        largest = max(largest, keys[place])
        order[place] = place
    bits = 1
    while largest >> bits > 0:
        bits += 1
    passes = max(1, (bits + 10) // 11)
    width = (bits + passes - 1) // passes
    size = 1 << width
    for step in range(passes):
        shift = step * width
        counts[:size] = 0
        for place in range(keys.size):
            counts[(keys[place] >> shift) & (size - 1)] += 1
        start = 0
        for bucket in range(size):
            found = counts[bucket]
            counts[bucket] = start
            start += found
        for position in range(keys.size):
            place = order[position]
            bucket = (keys[place] >> shift) & (size - 1)
            spare[counts[bucket]] = place
            counts[bucket] += 1
        order[:] = spare


@njit(nogil=True, cache=True)
def _rank_keys(keys, order, weights, ranks, groups):
    """Fill ranks and tie groups by place of keys in a given order.

    Return the number of groups, and the weighted sum of squares of the ranks less their mean.
    """
    below, start, group = 0, 0, 0
    tied = 0.0
    while start < keys.size:
        stop, within = start, 0
        key = keys[order[start]]
        while stop < keys.size and keys[order[stop]] == key:
            within += weights[order[stop]]
            stop += 1
        for position in range(start, stop):
            ranks[order[position]] = 2 * below + within + 1
            groups[order[position]] = group
        tied += float(within) ** 3 - within
        below += within
        start = stop
        group += 1
    # Four times that of ranks, which is (n^3 - n) / 12 less as much for each group of ties.
    return group, (float(below) ** 3 - below - tied) / 3.0


@njit(nogil=True, cache=True)
def _lay_out(walks, groups, weights):
    """Return weights in the order of each walk, and where its tie groups start, padded with its length.

    `walks` (n_rdms, n_active) are places in ascending order, `groups` their tie groups, by place.
    """
    n_rdms, size = walks.shape
    heavy = np.empty((n_rdms, size), np.int64)
    starts = np.full((n_rdms, size + 1), size)
    for row in range(n_rdms):
        found, last = 0, -1
        for position in range(size):
            place = walks[row, position]
            heavy[row, position] = weights[place]
            if groups[row, place] != last:
                starts[row, found] = position
                found += 1
                last = groups[row, place]
    return heavy, starts


@njit(nogil=True, cache=True)
def _count_signs(walk, heavy, starts, others, n_others, spaces):
    """Return concordant less discordant pairs of entries, each weighing the product of their weights.

    `walk`, `heavy` and `starts` are rows of one RDM, as in `_lay_out`; `others` are the tie groups of the
    other, by place. A binary tree holds the weights met so far, by these groups: steps through its levels
    depend on no value, so that the processor has nothing to guess.
    """
    tree, leaves = spaces[0], spaces[1]
    levels = 0
    while n_others > 1 << levels:
        levels += 1
    first = 1 << levels
    tree[: 2 * first] = 0
    for position in range(walk.size):
        leaves[position] = first + others[walk[position]]
    balance, inserted, group = 0, 0, 0
    while starts[group] < walk.size:
        for position in range(starts[group], starts[group + 1]):
            node = leaves[position]
            # Below less above: twice what is below, and what is tied, less all.
            found = tree[node] - inserted
            for _ in range(levels):
                found += 2 * (tree[node - 1] & -(node & 1))
                node >>= 1
            balance += heavy[position] * found
        for position in range(starts[group], starts[group + 1]):
            node, weight = leaves[position], heavy[position]
            inserted += weight
            for _ in range(levels + 1):
                tree[node] += weight
                node >>= 1
        group += 1
    return balance


@njit(nogil=True, cache=True)
def _make_spaces(size):
    """Return what `_count_signs` needs to work in for `size` places: a tree, and leaves."""
    return np.empty((2, 4 * size + 4), np.int64)


@njit(nogil=True, cache=True)
def _divide(shared, one, other, total, unit, kind):
    """Return the comparison of ranks with these sums of products (of twice the ranks, centred)."""
    if kind == 0:  # Spearman
        return shared / np.sqrt(one * other) if one > 0 and other > 0 else 0.0
    # rho-a: 12 / 4, with n^3 - n of weights that are not multiplied.
    return 3.0 * shared / (total * (total * total - unit * unit)) if total > unit else 0.0


@njit(nogil=True, cache=True)
def _weigh_ranks(ranks, total, weights):
    """Return twice the ranks less their mean, times weights, and the weighted sums of their squares."""
    heavy = np.empty(ranks.shape)
    squares = np.zeros(len(ranks))
    for row in range(len(ranks)):
        for place in range(ranks.shape[1]):
            value = float(ranks[row, place] - total - 1)
            heavy[row, place] = weights[place] * value
            squares[row] += weights[place] * value * value
    return heavy, squares


@njit(nogil=True, cache=True)
def _compare_signs(groups, n_groups, walks, weights, total, unit, n_subjects, out):
    """Fill tau of the first RDMs with the others and, if `out` has columns for it, one another."""
    n_rdms, n_active = groups.shape
    first = n_rdms - out.shape[1]
    spaces = _make_spaces(n_active)
    heavy, starts = _lay_out(walks[:n_subjects], groups[:n_subjects], weights)
    pairs = max(0.5 * total * (total - unit), 1.0)
    for subject in range(n_subjects):
        for rdm in range(first, n_rdms):
            column = (rdm - n_subjects) % n_rdms
            if rdm < subject:  # counted when that subject was the first of the two
                out[subject, column] = out[rdm, (subject - n_subjects) % n_rdms]
                continue
            found = _count_signs(
                walks[subject], heavy[subject], starts[subject], groups[rdm], n_groups[rdm], spaces
            )
            out[subject, column] = found / pairs


@njit(nogil=True, cache=True)
def _compare_subjects(centred, weights, total, unit, n_subjects, kind, out):
    """Fill comparisons of the first RDMs with the others and, if `out` has columns for it, one another.

    `centred` (n_rdms, n_active): twice the ranks less their mean.
    """
    n_rdms = centred.shape[0]
    first = n_rdms - out.shape[1]
    plain, heavy = centred[first:], centred[:n_subjects]
    if weights.max() > 1:
        heavy = heavy * weights
    squares = np.empty(n_rdms)
    for rdm in range(n_rdms):
        squares[rdm] = (weights * centred[rdm] * centred[rdm]).sum() if kind == 0 else 0.0
    shared = np.empty((n_subjects, n_rdms - first))
    for start in range(0, n_subjects, _ROWS):
        stop = min(start + _ROWS, n_subjects)
        # Of subjects with one another, those of earlier rows are known.
        known = start if first == 0 else 0
        shared[start:stop, known:] = np.dot(heavy[start:stop], plain[known:].T)
        for row in range(start, stop):
            for earlier in range(known):
                shared[row, earlier] = shared[earlier, row]
    for subject in range(n_subjects):
        for rdm in range(first, n_rdms):
            out[subject, (rdm - n_subjects) % n_rdms] = _divide(
                shared[subject, rdm - first], squares[subject], squares[rdm], total, unit, kind
            )


@njit(nogil=True, cache=True)
def _add_ranks(ranks, copies, keys):
    for place in range(keys.size):
        keys[place] += copies * ranks[place]


@njit(nogil=True, cache=True)
def _compare_keys(keys, rows, shared, out):
    """Fill the comparisons of the ranks of keys with those of subjects, by the numbers in `rows`."""
    heavy, squares, walks, laid, weights, total, unit, kind, spaces, signs = shared
    order, spare, pooled, ties, counts = spaces[0], spaces[1], spaces[2], spaces[3], spaces[4]
    size = keys.size
    _sort_keys(keys, order[:size], spare[:size], counts)
    n_ties, square = _rank_keys(keys, order[:size], weights, pooled[:size], ties[:size])
    pairs = max(0.5 * total * (total - unit), 1.0)
    for row in rows:
        if kind == 2:
            found = _count_signs(walks[row], laid[0][row], laid[1][row], ties[:size], n_ties, signs)
            out[row] = found / pairs
        else:
            product = 0.0
            for place in range(size):
                product += heavy[row, place] * pooled[place]
            out[row] = _divide(product, square, squares[row], total, unit, kind)


@njit(nogil=True, cache=True)
def _compare_pooled(ranks, groups, walks, weights, total, unit, copies, kind, lower, upper):
    """Fill, for each subject drawn, its comparison with the pooled ranks of the others, and of all.

    `copies` (n_draws, n_subjects) says how often each subject counts; `lower` and `upper` are of that shape.
    """
    n_active = ranks.shape[1]
    keys = np.empty(n_active, np.int64)
    everyone = np.empty(n_active, np.int64)
    spaces = np.empty((5, max(n_active, _BUCKETS)), np.int64)
    n_walks = len(walks) if kind == 2 else 0  # signs alone need them
    laid = _lay_out(walks[:n_walks], groups[:n_walks], weights)
    signs = _make_spaces(n_active)
    heavy, squares = _weigh_ranks(ranks, total, weights)
    shared = (heavy, squares, walks, laid, weights, total, unit, kind, spaces, signs)
    for draw in range(copies.shape[0]):
        drawn = np.flatnonzero(copies[draw])
        everyone[:] = 0
        for row in drawn:
            _add_ranks(ranks[row], copies[draw, row], everyone)
        _compare_keys(everyone, drawn, shared, upper[draw])
        for number in range(drawn.size):
            keys[:] = everyone
            _add_ranks(ranks[drawn[number]], -copies[draw, drawn[number]], keys)
            _compare_keys(keys, drawn[number : number + 1], shared, lower[draw])


@njit(nogil=True, cache=True)
def run_samples(
    multiplicities, copies, left, right, is_within, levels, unit, orders, steps, ties, n_subjects, kind,
    scores, lower, upper,
):  # fmt: skip
    """Fill `scores`, `lower` and `upper` with those of each bootstrap sample.

    `orders`, `steps` (n_rdms, n_pairs): pairs in ascending order, and which of these are above the one
    before. `ties`: number of the group of ties of each pair.
    """
    n_rdms, n_pairs = orders.shape
    weights = np.empty(n_pairs, np.int64)
    active = np.empty(n_pairs, np.int64)
    n_groups = np.empty(n_rdms, np.int64)
    table = np.empty(n_pairs, np.int64)
    for row in range(n_rdms):
        n_groups[row] = steps[row].sum()
    for sample in range(multiplicities.shape[0]):
        n_active, total = _weigh(
            multiplicities[sample], left, right, is_within, levels[sample], unit, weights, active
        )
        counted = weights[weights > 0]
        n_kept = n_rdms if kind == 2 else 0  # signs alone need them
        ranks = np.empty((max(n_kept, n_subjects), n_active), np.int64)
        groups = np.empty((max(n_kept, n_subjects), n_active), np.int64)
        walks = np.empty((max(n_kept, n_subjects), n_active), np.int64)
        centred = np.empty((n_rdms - n_kept, n_active))
        for row in range(n_rdms):
            if kind == 2:
                n_groups[row] = _rank_sorted(
                    orders[row], steps[row], weights, active, ranks[row], groups[row], walks[row]
                )
            else:
                _rank_grouped(ties[row], n_groups[row], weights, active, total, table, centred[row])
        sums = (counted, float(total), float(unit))
        if kind == 2:
            _compare_signs(groups, n_groups, walks, *sums, n_subjects, scores[sample])
        else:
            _compare_subjects(centred, *sums, n_subjects, kind, scores[sample])
            if copies.shape[1] > 0:
                for row in range(n_subjects):
                    for place in range(n_active):
                        ranks[row, place] = np.int64(centred[row, place]) + total + 1
        if copies.shape[1] > 0:
            _compare_pooled(
                ranks[:n_subjects], groups[:n_subjects], walks[:n_subjects], *sums, copies[sample], kind,
                lower[sample], upper[sample],
            )  # fmt: skip


@njit(nogil=True, cache=True)
def run_permuted(pairs, orders, groups, walks, n_others, others, out):
    """Fill the mean tau-a (n_permutations, n_models) over subjects whose pairs are exchanged."""
    n_models, n_pairs = orders.shape
    n_subjects = others.shape[0]
    heavy, starts = _lay_out(walks, groups, np.ones(n_pairs, np.int64))
    moved = np.empty(n_pairs, np.int64)
    spaces = _make_spaces(n_pairs)
    for draw in range(pairs.shape[0]):
        out[draw] = 0
        for subject in range(n_subjects):
            for pair in range(n_pairs):
                moved[pair] = others[subject, pairs[draw, pair]]
            for model in range(n_models):
                found = _count_signs(
                    walks[model], heavy[model], starts[model], moved, n_others[subject], spaces
                )
                out[draw, model] += found / (0.5 * n_pairs * (n_pairs - 1.0)) / n_subjects


@njit(nogil=True, cache=True)
def _add_lift(ties, values, times, table, out):
    """Add to `out` the sum of the values of the pairs above each, and half of those of its ties, `times`.

    `table` is a space for groups of ties.
    """
    table[:] = 0.0
    for pair in range(ties.size):
        table[ties[pair]] += values[pair]
    above = 0.0
    for group in range(table.size - 1, -1, -1):
        within = table[group]
        table[group] = times * (above + within / 2)
        above += within
    for pair in range(ties.size):
        out[pair] += table[ties[pair]]


@njit(nogil=True, cache=True)
def add_lifts(rows, first, second, out):
    """Add to `out` (n_rows, n_second, n_pairs) what pairs add to products by lifting ranks of either RDM.

    `first`, `second`: units, ties and steps, as in ``contributions.Vectors``.
    """
    units, ties, steps = first
    table = np.empty(units.shape[1])
    for place in range(rows.size):
        row = rows[place]
        for other in range(out.shape[1]):
            _add_lift(ties[row], second[0][other], steps[row], table, out[place, other])
            _add_lift(second[1][other], units[row], second[2][other], table, out[place, other])


@njit(nogil=True, cache=True)
def add_own_lifts(vectors, out):
    """Add to `out` (n_rdms, n_pairs) what pairs add to squared lengths by lifting ranks."""
    units, ties, steps = vectors
    table = np.empty(units.shape[1])
    for row in range(len(units)):
        _add_lift(ties[row], units[row], 2 * steps[row], table, out[row])


@njit(nogil=True, cache=True)
def add_ends(cells, n_units):
    """Return the sums (n_values, n_units) of the cells (n_values, n_cells) that each unit is in.

    Cells are those between two of the units, in the order of the upper triangle.
    """
    sums = np.zeros((len(cells), n_units))
    for row in range(len(cells)):
        start = 0
        for unit in range(n_units - 1):
            own = 0.0
            for other in range(unit + 1, n_units):
                value = cells[row, start + other - unit - 1]
                own += value
                sums[row, other] += value
            sums[row, unit] += own
            start += n_units - unit - 1
    return sums
