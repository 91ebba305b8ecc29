import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from fernet_neuro.exceptions import StoreError
from fernet_neuro.rsa.result import (
    CEILING_COLUMNS,
    ESTIMATE_COLUMNS,
    PAIRWISE_COLUMNS,
    PARTITION_COLUMNS,
    PEAK_COLUMNS,
    SUBJECT_COLUMNS,
    RSAResult,
)


def _fill(columns, rng, **labels):
    n = len(next(iter(labels.values())))
    frame = pd.DataFrame(labels)
    for name, kind in columns.items():
        if name not in frame:
            frame[name] = (
                rng.integers(3, 9, n) if kind is int else rng.normal(size=n) if kind is float else "x"
            )
    return frame


@pytest.fixture
def result(rng):
    estimates = _fill(
        ESTIMATE_COLUMNS, rng, roi=["FFA", "FFA", "007"], model=["NA", "fc, 2", "NA"], layer=["", "fc", "1.0"]
    )
    estimates.loc[1, "p_ceiling"] = np.nan
    return RSAResult(
        estimates,
        _fill(PAIRWISE_COLUMNS, rng, roi=["FFA"], model_1=["NA"], model_2=["fc, 2"]),
        _fill(SUBJECT_COLUMNS, rng, roi=["FFA"] * 4, subject=["01", "02", "nan", ""]),
        _fill(CEILING_COLUMNS, rng, roi=["FFA", "007"]),
        {"level": 0.95, "comparison": "rho_a", "blocks": None, "seed": 3},
        peaks=_fill(PEAK_COLUMNS, rng, roi=["FFA"], layer=["fc"]),
    )


def test_a_result_is_equal_after_a_round_trip(result, tmp_path):
    folder = result.save(tmp_path / "rsa")
    assert RSAResult.load(folder) == result
    tables = ["ceilings", "pairwise", "partition", "peaks", "results", "subjects"]
    assert sorted(path.name for path in folder.iterdir()) == [*(f"{n}.csv" for n in tables), "summary.json"]


def test_columns_stand_in_their_order_with_those_of_the_models_behind_the_name(result):
    wanted = list(ESTIMATE_COLUMNS)
    wanted.insert(2, "layer")
    assert list(result.estimates) == wanted
    assert result.estimates["layer"].tolist() == ["", "fc", "1.0"]
    assert list(result.partition) == list(PARTITION_COLUMNS)
    assert result.partition.empty
    assert (result.rois, result.models) == (["FFA", "007"], ["NA", "fc, 2"])
    assert result.select_roi("FFA")["model"].tolist() == ["NA", "fc, 2"]


def test_labels_are_text_and_empty_where_there_is_none(result, tmp_path):
    estimates = result.estimates.assign(layer=[0.0, np.nan, 4.0])
    numbered = replace(result, estimates=estimates)
    assert numbered.estimates["layer"].tolist() == ["0", "", "4"]
    assert RSAResult.load(numbered.save(tmp_path / "rsa")) == numbered


def test_another_number_or_setting_makes_results_unequal(result):
    changed = result.pairwise.assign(difference=0.5)
    rest = (result.subjects, result.ceilings)
    assert result != RSAResult(result.estimates, changed, *rest, result.settings, peaks=result.peaks)
    assert result != RSAResult(result.estimates, result.pairwise, *rest, {}, peaks=result.peaks)
    assert result != "a result"


def test_the_summary_is_plain_json_with_null_for_no_number(result, tmp_path):
    text = (result.save(tmp_path) / "summary.json").read_text()
    content = json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    assert content["kind"] == "rsa"
    assert content["settings"] == result.settings
    assert [row["model"] for row in content["models"]] == ["NA", "fc, 2", "NA"]
    assert content["models"][1]["p_ceiling"] is None
    assert content["models"][0]["estimate"] == result.estimates["estimate"][0]


def test_a_table_without_a_column_or_without_rows_is_refused(result):
    with pytest.raises(ValueError, match="pairwise has no column difference"):
        RSAResult(
            result.estimates,
            result.pairwise.drop(columns="difference"),
            result.subjects,
            result.ceilings,
            {},
        )
    with pytest.raises(ValueError, match="estimates has no rows"):
        RSAResult(result.estimates[:0], result.pairwise, result.subjects, result.ceilings, {})
    with pytest.raises(ValueError, match="there is no ROI 'OFA'; there are: FFA, 007"):
        result.select_roi("OFA")


def test_missing_or_damaged_files_are_named(result, tmp_path):
    with pytest.raises(StoreError, match="fernet-neuro rsa"):
        RSAResult.load(tmp_path)
    result.save(tmp_path)
    (tmp_path / "pairwise.csv").write_text("roi,model_1\nFFA,a\n")
    with pytest.raises(StoreError, match=r"damaged .*pairwise\.csv has no column"):
        RSAResult.load(tmp_path)
    (tmp_path / "summary.json").write_text('{"kind": "probe"}')
    with pytest.raises(StoreError, match="of kind 'probe'"):
        RSAResult.load(tmp_path)
    result.save(tmp_path)
    (tmp_path / "subjects.csv").unlink()
    with pytest.raises(StoreError, match=r"subjects\.csv does not exist"):
        RSAResult.load(tmp_path)
