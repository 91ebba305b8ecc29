"""What the paper's own numbers say is computed, and the results page shows it as it is."""

from pathlib import Path

import numpy as np

from fernet_neuro.systems.lfnsb.audit import audit_paper


def test_the_audit_has_the_numbers_that_follow_from_the_papers_tables():
    found = audit_paper().set_index("what")["computed"]
    assert found["Table 9, mean of the ten values, AffectNet-7"] == "65.619 (standard deviation 0.538)"
    assert found["Headline accuracy, RAF-DB"] == "the largest of the ten, fold 7"
    assert found["Table 9, values that are shares of the 3,068 official test images"].startswith("10 of 10")
    assert found["Fewer weights than MFN"] == "32.6 % from the printed figures, 35.8 % in one unit"
    assert found["Figure 6, disgust, RAF-DB"] == "119 of 160"
    raf = [90.48, 90.22, 90.61, 90.35, 90.48, 90.12, 91.07, 90.65, 90.32, 90.16]
    assert found["Table 9, mean of the ten values, RAF-DB"].split()[0] == f"{np.mean(raf):.3f}"


def test_the_results_page_shows_the_audit_as_it_is_computed():
    page = (Path(__file__).parents[3] / "docs" / "results.md").read_text(encoding="utf-8")
    for row in audit_paper().itertuples(index=False):
        assert f"| {row.what} | {row.printed} | {row.computed} |" in page
