from fernet_neuro.activations.array import Activations
from fernet_neuro.activations.store import ActivationStore
from fernet_neuro.brain.patterns import BrainPatterns
from fernet_neuro.door.embed import embed
from fernet_neuro.door.probe import probe
from fernet_neuro.embedding.result import EmbeddingResult
from fernet_neuro.evaluation.result import EvaluationReport, EvaluationResult
from fernet_neuro.extraction.extract import extract_activations as extract
from fernet_neuro.models.layers import LayeredModel
from fernet_neuro.models.resolve import resolve_model as load_model
from fernet_neuro.probes.result import ProbeReport, ProbeResult
from fernet_neuro.rsa.rdms import RDMSet
from fernet_neuro.rsa.result import RSAResult
from fernet_neuro.stimuli.rendering.factorial import render_faces
from fernet_neuro.stimuli.table import StimulusTable, read_stimuli

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
    "StimulusTable",
    "embed",
    "extract",
    "load_model",
    "probe",
    "read_stimuli",
    "render_faces",
]
