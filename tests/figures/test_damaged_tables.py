"""A damaged table costs the figures that need it, and no other; what is said names file, row and column."""

import shutil

import pytest

RSA = {"rsa-layer-roi", "rsa-models", "rdm-gallery", "variance-partition", "mds"}


def put(path, row, column, text):
    """Put a text in place of a value, by its row (of which the heading is the first) and column."""
    lines = path.read_text().splitlines()
    at, fields = lines[0].split(",").index(column), lines[row - 1].split(",")
    fields[at] = text
    lines[row - 1] = ",".join(fields)
    path.write_text("\n".join(lines) + "\n")


def cut(path, n_bytes):
    path.write_bytes(path.read_bytes()[:n_bytes])


def cut_row(path):
    """Cut a table in the middle of its last row."""
    cut(path, path.read_text().rstrip("\n").rindex(","))


CASES = [
    ("probe", lambda folder: cut_row(folder / "confusion.csv"),
     {"probe-confusion"}, {"probe-layers"}, ["confusion.csv: the file is cut in row "]),
    ("probe", lambda folder: put(folder / "results.csv", 4, "seed", "abc"), set(),
     {"probe-layers", "probe-confusion"}, []),
    ("probe", lambda folder: put(folder / "confusion.csv", 5, "count", "1.5"), {"probe-confusion"},
     {"probe-layers"}, ["confusion.csv: row 5 has '1.5' under 'count', which is no whole number"]),
    ("rsa", lambda folder: put(folder / "results.csv", 3, "estimate", "abc"),
     RSA - {"rdm-gallery", "mds"}, {"rdm-gallery", "mds"},
     ["results.csv: row 3 has 'abc' under 'estimate', which is no number"]),
    ("rsa", lambda folder: put(folder / "pairwise.csv", 2, "low", "?"), {"rsa-models"},
     RSA - {"rsa-models"}, ["pairwise.csv: row 2 has '?' under 'low', which is no number"]),
    ("rsa", lambda folder: cut_row(folder / "peaks.csv"), {"rsa-layer-roi"}, RSA - {"rsa-layer-roi"},
     ["peaks.csv: the file is cut in row "]),
    ("evaluation", lambda folder: cut(folder / "metrics.csv", 300), {"evaluation"}, set(), ["metrics.csv"]),
    ("evaluation", lambda folder: put(folder / "metrics.csv", 2, "n", "identity"), {"evaluation"}, set(),
     ["metrics.csv: row 2 has 'identity' under 'n', which is no whole number"]),
    ("evaluation", lambda folder: cut(folder / "predictions.csv", 300), set(), {"evaluation"}, []),
]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "damage", "lost", "kept", "said"), CASES)
def test_a_damaged_table_costs_only_the_figures_that_need_it(
    run, results, tmp_path, kind, damage, lost, kept, said
):
    folder = shutil.copytree(results / kind, tmp_path / kind)
    damage(folder)
    out = tmp_path / "out"
    code, _, err = run("figures", "build", "all", "--results", folder, "--out", out, "--format", "png")
    assert code == (1 if lost else 0), err
    lines = [line for line in err.splitlines() if line.startswith("Left out: ")]
    assert {line.split()[2] for line in lines} == lost
    assert all(any(words in line for line in lines) for words in said), err
    assert all(any(words in line for words in said) for line in lines), err
    assert {path.stem for path in out.glob("*.png")} >= kept


def test_lost_rows_of_metrics_are_seen_where_the_file_ends_well(run, results, tmp_path):
    folder = shutil.copytree(results / "evaluation", tmp_path / "evaluation")
    rows = (folder / "metrics.csv").read_text().splitlines()
    (folder / "metrics.csv").write_text("\n".join(rows[:3]) + "\n")
    code, _, err = run("figures", "build", "evaluation", "--results", folder, "--out", tmp_path / "out")
    assert code != 0
    assert f"metrics.csv has 2 rows, and summary.json {len(rows) - 1}" in err


def test_a_word_in_place_of_a_number_of_a_probe_of_a_recipe_is_told(run, results, tmp_path):
    shutil.copytree(results / "probes", tmp_path / "probes")
    put(tmp_path / "probes/identity/expression/confusion.csv", 7, "count", "many")
    code, _, err = run(
        "figures", "build", "all", "--results", tmp_path, "--out", tmp_path / "out", "--format", "png"
    )
    assert code == 1
    assert "Left out: confusion (" in err
    assert "row 7 has 'many' under 'count', which is no number" in err
    assert "Left out: layer-profile" not in err
