from fernet_neuro.activations.array import Activations
from fernet_neuro.activations.store import ActivationStore
from fernet_neuro.brain.patterns import BrainPatterns
from fernet_neuro.brain.simulation.dataset import SimulatedGroup
from fernet_neuro.door.embed import embed
from fernet_neuro.door.export import export
from fernet_neuro.door.probe import probe
from fernet_neuro.door.rdms import compute_rdms
from fernet_neuro.door.rsa import rsa
from fernet_neuro.door.simulate import simulate_brain
from fernet_neuro.embedding.result import EmbeddingResult
from fernet_neuro.evaluation.result import EvaluationReport, EvaluationResult
from fernet_neuro.experiments.evaluation import evaluate_runs as evaluate
from fernet_neuro.experiments.predict import predict
from fernet_neuro.extraction.extract import extract_activations as extract
from fernet_neuro.figures.registry import build_figure
from fernet_neuro.models.layers import LayeredModel
from fernet_neuro.models.resolve import resolve_model as load_model
from fernet_neuro.probes.result import ProbeReport, ProbeResult
from fernet_neuro.rsa.rdms import RDMSet
from fernet_neuro.rsa.result import RSAResult
from fernet_neuro.rsa.searchlight.search import SearchlightMap
from fernet_neuro.stimuli.rendering.factorial import render_faces
from fernet_neuro.stimuli.table import StimulusTable, read_stimuli
from fernet_neuro.training.fit import fit as train

__version__: str
__all__ = [
    "ActivationStore",
    "Activations",
    "BrainPatterns",
    "EmbeddingResult",
    "EvaluationReport",
    "EvaluationResult",
    "LayeredModel",
    "ProbeReport",
    "ProbeResult",
    "RDMSet",
    "RSAResult",
    "SearchlightMap",
    "SimulatedGroup",
    "StimulusTable",
    "build_figure",
    "compute_rdms",
    "embed",
    "evaluate",
    "export",
    "extract",
    "load_model",
    "predict",
    "probe",
    "read_stimuli",
    "render_faces",
    "rsa",
    "simulate_brain",
    "train",
]
