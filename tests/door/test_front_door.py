"""What ``import fernet_neuro as fn`` shows, and that all of it has an example that runs."""

import ast
import doctest
import inspect
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import fernet_neuro as fn

FUNCTIONS = {
    "read_stimuli", "render_faces", "load_model", "extract", "probe", "embed", "compute_rdms", "rsa",
    "evaluate", "predict", "export", "train", "simulate_brain", "build_figure",
}  # fmt: skip
NOUNS = [name for name in dir(fn) if name not in FUNCTIONS]


def test_the_door_shows_these_functions_and_nouns_and_nothing_else():
    assert set(dir(fn)) >= FUNCTIONS
    assert all(inspect.isclass(getattr(fn, name)) for name in NOUNS)
    assert {"StimulusTable", "LayeredModel", "ActivationStore", "RDMSet", "ProbeReport"} <= set(NOUNS)
    with pytest.raises(AttributeError, match="no attribute 'prob'"):
        fn.prob  # noqa: B018


def test_type_checkers_are_told_the_same():
    stub = ast.parse(Path(fn.__file__).with_suffix(".pyi").read_text(encoding="utf-8"))
    told = {
        alias.asname or alias.name: f"{node.module}:{alias.name}"
        for node in stub.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    places = {**fn._PLACES, "rsa": "door.rsa:rsa"}
    assert told == {name: f"fernet_neuro.{place}" for name, place in places.items()}


def test_the_package_rsa_is_also_the_function():
    import fernet_neuro.rsa.rdms as rooms

    assert fn.rsa.rdms is rooms
    with pytest.raises(ValueError, match="give stimuli"):
        fn.rsa(fn.RDMSet(np.ones((1, 3)), np.array(list("abc"))), "none", factors=["identity"])


@pytest.mark.parametrize("name", dir(fn))
def test_each_name_has_an_example_that_runs(name):
    thing = getattr(fn, name)
    found = doctest.DocTestFinder(recurse=False).find(thing, name, module=False)
    examples = [example for test in found for example in test.examples]
    assert examples, f"{name} has no example"
    assert not any(doctest.SKIP in example.options for example in examples)
    # pytest collects it where it is written.
    assert Path(inspect.getsourcefile(thing)).is_relative_to(Path(fn.__file__).parent)


@pytest.mark.parametrize("name", NOUNS)
def test_public_methods_of_nouns_are_documented(name):
    for attribute, value in vars(getattr(fn, name)).items():
        if not attribute.startswith("_") and (callable(value) or isinstance(value, property | classmethod)):
            assert inspect.getdoc(value), f"{name}.{attribute}"


def test_the_import_takes_no_time():
    code = "import time as t; a = t.process_time(); import fernet_neuro; print(t.process_time() - a)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert float(done.stdout) < 0.1


def test_what_cannot_be_a_network_stimuli_or_a_brain_is_told_in_one_line():
    with pytest.raises(TypeError, match=r"a network must be a name, a path.*got None"):
        fn.load_model(None)
    with pytest.raises(TypeError, match="stimuli must be a StimulusTable, a data frame or a path; got 3"):
        fn.extract("resnet10-slim", 3)
    rdms = fn.compute_rdms(fn.read_stimuli("builtin")[::20], factors=["expression"])
    with pytest.raises(TypeError, match=r"RDMs are called by name; got 0. Use take\(\[0\]\)"):
        rdms[0]
    with pytest.raises(TypeError, match=r"brain must be an RDMSet.*brain patterns makes the patterns first"):
        fn.rsa(rdms, 3)
