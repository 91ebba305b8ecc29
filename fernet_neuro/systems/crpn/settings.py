"""Settings of the dual-pathway training: what each stage adds to a recipe, and the forms of each variant.

What belongs here: keys, meaning and limits; nothing that imports torch.

References
----------
[1] Lu, H., Zhuang, X. & Luo, Q. (2024). A brain-inspired way of reducing the network complexity via
    concept-regularized coding for emotion recognition. AAAI.
"""

from typing import ClassVar, Literal

from pydantic import Field

from fernet_neuro._utils.config import Settings
from fernet_neuro.training.config import TaskEntry, TaskSettings

Variant = Literal["recommended", "paper", "released"]
TaskLoss = Literal["wce", "focal"]
Orthogonality = Literal["mean", "frobenius"]
Contrast = Literal["mean_positives", "sum_positives", "sum_positives_self"]
Similarity = Literal["squared_l2", "mse_mean", "mmd_rbf"]
Teacher = Literal["cached", "live"]
ConceptSource = Literal["features", "images"]
Regime = Literal["perceptual", "distillation", "crpn"]
ReadoutMode = Literal["non_emotion", "all"]

#: The form of each term where a recipe leaves it open. "paper" is the printed equation, "released" what the
#: authors' code does. Differs from the release: its contrast over single feature values takes (256 n)^2
#: numbers and is a slip of reshaping; training uses vectors (the other form is in `losses.contrastive`).
VARIANT_FORMS: dict[str, dict[str, str]] = {
    "recommended": {
        "task_loss": "wce",
        "orthogonality": "mean",
        "contrast": "mean_positives",
        "similarity": "squared_l2",
        "teacher": "cached",
        "concept_source": "features",
    },
    "paper": {
        "task_loss": "wce",
        "orthogonality": "frobenius",
        "contrast": "sum_positives_self",
        "similarity": "squared_l2",
        "teacher": "live",
        "concept_source": "features",
    },
    "released": {
        "task_loss": "focal",
        "orthogonality": "mean",
        "contrast": "mean_positives",
        "similarity": "mmd_rbf",
        "teacher": "live",
        "concept_source": "images",
    },
}
#: What the released focal loss adds to probabilities.
FOCAL_EPSILON = 1e-8
#: Class weights of the released focal loss, by name; they are smaller for more frequent expressions.
FOCAL_WEIGHTS = {
    "anger": 0.7, "disgust": 0.8, "fear": 0.9, "happiness": 0.2, "neutral": 0.4, "sadness": 0.4,
    "surprise": 0.6,
}  # fmt: skip


class _SectionSettings(TaskSettings):
    refused: ClassVar[tuple[str, ...]] = ("class_weights", "label_smoothing", "weights")


class ConceptSettings(_SectionSettings):
    """Stage 1, the conceptual pathway: Eq. 9 of [1].

    Parameters
    ----------
    emotion_weights, non_emotion_weights : str or None
        Where the trunks start: a run folder, a saved network or a weight file, less its classifier. The
        non-emotion trunk stays as it is.
    orthogonality_weight, contrastive_weight : float
        Of L_orth and L_CC; 0 leaves the term out.
    confidence : bool
        True learns from confidence-weighted scores and ranks the confidences (L_WCE + L_RR); False from
        plain cross-entropy over the unweighted scores.
    confidence_weight : float
        Of L_WCE + L_RR, or of the plain cross-entropy.
    task_loss, orthogonality, contrast : str or None
        Forms of the terms; None takes those of the recipe's variant (`VARIANT_FORMS`).
    temperature : float
        Of the contrast, unitless.
    rank_share, rank_margin : float
        Share of the batch in the high-confidence group, and the margin between the groups' means.
    """

    weight_keys: ClassVar[tuple[str, ...]] = ("emotion_weights", "non_emotion_weights")
    emotion_weights: str | None = None
    non_emotion_weights: str | None = None
    orthogonality_weight: float = Field(0.1, ge=0)
    confidence: bool = True
    confidence_weight: float = Field(1.0, ge=0)
    contrastive_weight: float = Field(0.01, ge=0)
    task_loss: TaskLoss | None = None
    orthogonality: Orthogonality | None = None
    contrast: Contrast | None = None
    temperature: float = Field(0.07, gt=0)
    rank_share: float = Field(0.7, gt=0, lt=1)
    rank_margin: float = Field(0.15, ge=0)


class PerceptionSettings(_SectionSettings):
    """Stage 2, the perceptual pathway: Eqs. 10 to 13 of [1].

    Parameters
    ----------
    regime : {"perceptual", "distillation", "crpn"}
        Only cross-entropy; the teacher's features and logits for every image; or Eq. 10, where images of
        low confidence learn from the mean of confident ones.
    conceptual : str or None
        Run folder of the conceptual pathway, the teacher; not needed for "perceptual".
    bank : str or None
        Its concept bank over the training images; None makes one inside the run folder.
    percentile : float
        Confidence below this percentile of its class is low, in (0, 100).
    n_concepts : int
        K, how many confident images of the class are averaged.
    trunk_weights : str or None
        Where the trunk starts.
    cross_entropy_weight, similarity_weight, distillation_weight : float
        Of L_CE, L_S and L_D in Eq. 13.
    similarity, teacher, concept_source : str or None
        Forms; None takes those of the recipe's variant. A cached teacher saw each image once, unchanged; a
        live one sees what the student sees. Concepts are means of banked features, or of images that are
        decoded, changed and encoded anew in each step.
    """

    weight_keys: ClassVar[tuple[str, ...]] = ("trunk_weights", "conceptual")
    location_keys: ClassVar[tuple[str, ...]] = ("bank",)
    regime: Regime = "crpn"
    conceptual: str | None = None
    bank: str | None = None
    percentile: float = Field(20.0, gt=0, lt=100)
    n_concepts: int = Field(8, ge=1)
    trunk_weights: str | None = None
    cross_entropy_weight: float = Field(2.0, ge=0)
    similarity_weight: float = Field(1.0, ge=0)
    distillation_weight: float = Field(1.0, ge=0)
    similarity: Similarity | None = None
    teacher: Teacher | None = None
    concept_source: ConceptSource | None = None

    def list_used_weights(self) -> tuple[str, ...]:
        """Return the keys of networks that the regime makes use of: without a teacher where it has none."""
        return self.weight_keys[:1] if self.regime == "perceptual" else self.weight_keys


class ReadoutSettings(_SectionSettings):
    """Identity from the non-emotion features, fine-tuned: Figure 4 of [1].

    Parameters
    ----------
    conceptual : str or None
        Run folder of the conceptual pathway to start from; training needs it.
    mode : {"non_emotion", "all"}
        Train only the non-emotion encoder and the identity read-out, or everything with a new emotion
        read-out.
    """

    weight_keys: ClassVar[tuple[str, ...]] = ("conceptual",)
    conceptual: str | None = None
    mode: ReadoutMode = "non_emotion"


def pick_form(variant: str, settings: Settings, key: str) -> str:
    """Return the form of the term `key`: the settings' own, or that of the variant.

    Examples
    --------
    >>> pick_form("released", ConceptSettings(), "task_loss")
    'focal'
    >>> pick_form("released", ConceptSettings(task_loss="wce"), "task_loss")
    'wce'
    """
    return getattr(settings, key) or VARIANT_FORMS[variant][key]


_HERE = "fernet_neuro.systems.crpn"
CONCEPTS = TaskEntry(f"{_HERE}.concepts:make_concepts", "concepts", ConceptSettings, "crpn-conceptual")
PERCEPTION = TaskEntry(
    f"{_HERE}.perception:make_perception",
    "perception",
    PerceptionSettings,
    "crpn-perceptual",
    share=f"{_HERE}.perception:share_bank",
)
READOUT = TaskEntry(f"{_HERE}.readout:make_identity_readout", "readout", ReadoutSettings, "crpn-conceptual")
