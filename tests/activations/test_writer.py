import errno
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from pandas.testing import assert_frame_equal

from fernet_neuro.activations.store import ActivationStore
from fernet_neuro.activations.writer import StoreWriter
from fernet_neuro.exceptions import StimulusError, StoreError

SHAPES = {"conv": (3, 5), "fc": (7,)}


@pytest.fixture
def values(rng):
    return {layer: rng.normal(size=(24, *shape)).astype(np.float32) for layer, shape in SHAPES.items()}


@pytest.fixture
def open_writer(tmp_path, noise_table):
    def build(name="store", identity=None, **options):
        return StoreWriter(tmp_path / name, noise_table, SHAPES, identity or {"key": 1}, **options)

    return build


def _write(writer, values, start, stop):
    writer.write({layer: array[start:stop] for layer, array in values.items()})


def _check(store, values):
    store.verify()
    for layer, array in values.items():
        np.testing.assert_array_equal(store.load(layer).maps, array)


def _partial(tmp_path: Path) -> Path:
    (folder,) = tmp_path.glob(".store.*.partial")
    return folder


def test_nothing_is_there_until_finished(tmp_path, open_writer, values):
    with open_writer() as writer:
        for start in (0, 10, 20):
            _write(writer, values, start, start + 10)
        assert not (tmp_path / "store").exists()
        with pytest.raises(StoreError, match="is not finished; run the same extraction again"):
            ActivationStore.open(tmp_path / "store")
        writer.finish()
    _check(ActivationStore.open(tmp_path / "store"), values)
    assert not list(tmp_path.glob(".store*"))


def _stop_after(writer, values, stop):
    with pytest.raises(ZeroDivisionError), writer:
        for start in range(0, stop, 5):
            _write(writer, values, start, start + 5)
        raise ZeroDivisionError


def _finish(writer, values):
    with writer:
        taken_up = writer.n_done
        _write(writer, values, taken_up, 24)
        writer.finish()
    return taken_up


def test_stopped_writer_is_taken_up(tmp_path, open_writer, values):
    _stop_after(open_writer(), values, 15)
    assert _finish(open_writer(), values) == 15
    _check(ActivationStore.open(tmp_path / "store"), values)


def test_line_cut_in_the_journal_loses_one_batch(tmp_path, open_writer, values):
    _stop_after(open_writer(), values, 15)
    journal = _partial(tmp_path) / "journal.jsonl"
    journal.write_text(journal.read_text()[:-9])
    assert _finish(open_writer(), values) == 10
    _check(ActivationStore.open(tmp_path / "store"), values)


def test_values_that_do_not_fit_the_journal_are_written_again(tmp_path, open_writer, values):
    _stop_after(open_writer(), values, 15)
    with (_partial(tmp_path) / "00_conv.npy").open("r+b") as handle:
        handle.seek(128 + 7 * 15 * 4)  # in the second batch, as after a power cut
        handle.write(b"\0" * 60)
    assert _finish(open_writer(), values) == 5
    _check(ActivationStore.open(tmp_path / "store"), values)


@pytest.mark.parametrize("change", [{"identity": {"key": 2}}, {"run": {"batch_size": 3}}])
def test_other_work_is_not_taken_up(tmp_path, open_writer, values, change, caplog):
    _stop_after(open_writer(), values, 15)
    place = _partial(tmp_path)
    assert _finish(open_writer(**change), values) == 0
    assert not list(tmp_path.glob(".store*"))
    assert f"{place} was begun with other pictures or settings" in caplog.text


def test_writer_without_a_batch_leaves_no_trace(tmp_path, open_writer, values):
    _stop_after(open_writer(), values, 0)
    assert not list(tmp_path.glob(".store*"))


def test_unfinished_store_cannot_be_published(tmp_path, open_writer, values):
    with open_writer() as writer:
        _write(writer, values, 0, 10)
        with pytest.raises(StoreError, match="10 of 24 stimuli were written"):
            writer.finish()
    assert not (tmp_path / "store").exists()


def test_second_writer_is_kept_out(open_writer, values):
    with open_writer() as writer:
        _write(writer, values, 0, 10)
        with pytest.raises(StoreError, match="another process is extracting"), open_writer():
            pass
        _write(writer, values, 10, 24)
        writer.finish()


def test_other_contents_stay_unless_overwritten(tmp_path, open_writer, values):
    _finish(open_writer(), values)
    with pytest.raises(StoreError, match=r"another extraction \(different: key\).*--overwrite"):
        open_writer(identity={"key": 2})
    _check(ActivationStore.open(tmp_path / "store"), values)
    doubled = {layer: 2 * array for layer, array in values.items()}
    _finish(open_writer(identity={"key": 2}, overwrite=True), doubled)
    _check(ActivationStore.open(tmp_path / "store"), doubled)


def test_a_folder_of_something_else_is_never_replaced(tmp_path, open_writer):
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / "thesis.docx").write_text("years")
    with pytest.raises(StoreError, match="is not an activation store; choose another name"):
        open_writer(overwrite=True)
    assert (tmp_path / "store" / "thesis.docx").read_text() == "years"


@pytest.mark.skipif(not hasattr(os, "posix_fallocate"), reason="space is reserved with posix_fallocate")
def test_full_disk_at_the_start_is_one_line_and_harms_nothing(tmp_path, open_writer, values, monkeypatch):
    _finish(open_writer(), values)

    def refuse(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", refuse)
    with (
        pytest.raises(StoreError, match=r"cannot be written: No space left on device \(needs 0.0 MB\)"),
        open_writer(identity={"key": 2}, overwrite=True),
    ):
        pass
    _check(ActivationStore.open(tmp_path / "store"), values)
    assert not list(tmp_path.glob(".store*"))


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_full_disk_on_the_way_keeps_finished_batches(tmp_path, open_writer, values):
    with open_writer() as writer:
        _write(writer, values, 0, 10)
        writer._files["fc"].close()
        writer._files["fc"] = Path("/dev/full").open("r+b", buffering=0)  # noqa: SIM115 - the writer closes it
        with pytest.raises(StoreError, match=r"No space left.* The 10 finished stimuli are kept"):
            _write(writer, values, 10, 20)
        with pytest.raises(StoreError, match="an earlier batch failed"):
            _write(writer, values, 20, 24)
    assert _finish(open_writer(), values) == 10
    _check(ActivationStore.open(tmp_path / "store"), values)


def test_values_that_are_not_finite_name_stimulus_and_layer(open_writer, values, noise_table):
    values["fc"][13, 2] = np.nan
    name = noise_table.stimulus_ids[13]
    with open_writer() as writer:
        _write(writer, values, 0, 10)
        with pytest.raises(
            ValueError, match=f"layer 'fc' answers stimulus '{name}' with values that are not"
        ):
            _write(writer, values, 10, 24)


def test_float16_that_overflows_is_refused(open_writer, values):
    values["conv"][3, 0, 0] = 1e5
    with open_writer(dtype="float16") as writer, pytest.raises(ValueError, match="use dtype float32"):
        _write(writer, values, 0, 24)


def test_batch_must_hold_all_layers(open_writer, values):
    with open_writer() as writer, pytest.raises(ValueError, match="needs all layers"):
        writer.write({"fc": values["fc"]})


def test_empty_table_is_refused(tmp_path, noise_table):
    with pytest.raises(StimulusError, match="table is empty"):
        StoreWriter(tmp_path / "store", noise_table.select([]), SHAPES, {"key": 1})


def test_store_can_be_moved(tmp_path, open_writer, values, noise_table):
    _finish(open_writer(), values)
    (tmp_path / "elsewhere").mkdir()
    shutil.move(tmp_path / "store", tmp_path / "elsewhere" / "store")
    moved = ActivationStore.open(tmp_path / "elsewhere" / "store")
    _check(moved, values)
    # Pictures are found from where the store lies, so that those which move with it are found again.
    labels = [frame.drop(columns="path") for frame in (moved.stimuli.frame, noise_table.frame)]
    assert_frame_equal(*labels)
