"""Inception-ResNet v1, built by the package facenet-pytorch.

References
----------
[1] Schroff, F., Kalenichenko, D. & Philbin, J. (2015). FaceNet: A unified embedding for face recognition and
    clustering. CVPR.
"""

from fernet_neuro._utils.optional import import_optional
from fernet_neuro.models.layers import LayeredModel
from fernet_neuro.models.plain import wrap_module


def build_facenet() -> LayeredModel:
    """Return the network [1] with random weights; 160 px, red first, (pixel - 127.5) / 128, 512-d embedding.

    Raises MissingDependencyError if facenet-pytorch is not installed.
    """
    package = import_optional("facenet_pytorch", "facenet-vggface2", "--no-deps facenet-pytorch")
    # The classifier of the release is loaded and not used: what is read is the embedding.
    module = package.InceptionResnetV1(pretrained=None, classify=False, num_classes=8631, device="cpu")
    return wrap_module(module, size=160, channels="rgb", mean=127.5, std=128.0, scale=255.0)
