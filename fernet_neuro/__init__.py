"""Identity and expression in face networks and brains: ``import fernet_neuro as fn``.

Functions and nouns are loaded when they are first used, so that the import itself takes no time.

Examples
--------
>>> import fernet_neuro as fn
>>> faces = fn.render_faces(identities=3, views=1, sessions=1, size=32)
>>> model = fn.load_model("resnet10-slim", size=32)
>>> report = fn.probe(model, faces, layers=["layer1", "layer4"], n_folds=3, n_permutations=19)
>>> report.frame.query("source == 'network'")["layer"].tolist()
['layer1', 'layer4']
"""

from importlib import import_module

__version__ = "0.1.0"

#: Where each name lies; ``__init__.pyi`` says the same to type checkers.
_PLACES = {
    "read_stimuli": "stimuli.table:read_stimuli",
    "render_faces": "stimuli.rendering.factorial:render_faces",
    "load_model": "models.resolve:resolve_model",
    "extract": "extraction.extract:extract_activations",
    "probe": "door.probe:probe",
    "embed": "door.embed:embed",
    "compute_rdms": "door.rdms:compute_rdms",
    "rsa": "rsa",  # the package, which calls door.rsa:rsa
    "evaluate": "experiments.evaluation:evaluate_runs",
    "predict": "experiments.predict:predict",
    "export": "door.export:export",
    "train": "training.fit:fit",
    "simulate_brain": "door.simulate:simulate_brain",
    "build_figure": "figures.registry:build_figure",
    "StimulusTable": "stimuli.table:StimulusTable",
    "LayeredModel": "models.layers:LayeredModel",
    "ActivationStore": "activations.store:ActivationStore",
    "Activations": "activations.array:Activations",
    "ProbeResult": "probes.result:ProbeResult",
    "ProbeReport": "probes.result:ProbeReport",
    "EmbeddingResult": "embedding.result:EmbeddingResult",
    "EvaluationResult": "evaluation.result:EvaluationResult",
    "EvaluationReport": "evaluation.result:EvaluationReport",
    "BrainPatterns": "brain.patterns:BrainPatterns",
    "RDMSet": "rsa.rdms:RDMSet",
    "RSAResult": "rsa.result:RSAResult",
    "SearchlightMap": "rsa.searchlight.search:SearchlightMap",
    "SimulatedGroup": "brain.simulation.dataset:SimulatedGroup",
}
__all__ = list(_PLACES)


def __getattr__(name: str) -> object:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    place, _, attribute = _PLACES[name].partition(":")
    module = import_module(f"{__name__}.{place}")
    value = globals()[name] = getattr(module, attribute) if attribute else module
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
