"""The networks that belong to no single system: what each is; how it is built is loaded when it is built."""

from fernet_neuro.catalogue import Later
from fernet_neuro.models.entry import BSD, ModelEntry

_RESNET = "He et al. (2016), Deep residual learning for image recognition, CVPR"
RESNET18 = ModelEntry(
    Later("fernet_neuro.models.resnet:build_resnet18"),
    "ResNet-18: eight blocks, 512-d pooled feature",
    {"n_classes": 1000, "size": 224, "channels": "rgb"},
    licence=BSD,
    source="torchvision",
    paper=_RESNET,
)
RESNET50 = ModelEntry(
    Later("fernet_neuro.models.resnet:build_resnet50"),
    "ResNet-50 (version 1.5): 16 blocks, 2048-d pooled feature",
    {"n_classes": 1000, "size": 224, "channels": "rgb"},
    licence=BSD,
    source="torchvision",
    paper=_RESNET,
)
RESNET50_VGGFACE2 = ModelEntry(
    Later("fernet_neuro.models.resnet:build_resnet50_vggface2"),
    "ResNet-50 in the Caffe layout of the VGGFace2 weights, BGR 0-255 input",
    {"n_classes": 8631, "size": 224},
    licence=BSD,
    source="torchvision blocks, layout of the VGGFace2 release",
    paper="Cao et al. (2018), VGGFace2: A dataset for recognising faces across pose and age, IEEE FG",
)
RESNET10_SLIM = ModelEntry(
    Later("fernet_neuro.models.resnet:build_resnet10_slim"),
    "slim ResNet-10 for 64 px, trained in minutes on two cores; 128-d pooled feature",
    {"n_classes": 70, "size": 64, "channels": "rgb"},
    source="own code on torchvision's basic block",
    paper=_RESNET,
)
SIAMESE = ModelEntry(
    Later("fernet_neuro.models.siamese:build_siamese"),
    "twin network for verification, on a 48 px grey trunk or on any other network",
    {"trunk": "grey", "size": None, "channels": None},
    source="own code from the published description",
    paper="Schwartz, O'Nell & Anzellotti (2020), Vision Sciences Society",
)
SWIN_T = ModelEntry(
    Later("fernet_neuro.models.swin:build_swin_t"),
    "Swin-T: a transformer over shifted windows, 768-d pooled feature",
    {"n_classes": 1000, "size": 224, "channels": "rgb"},
    licence=BSD,
    source="torchvision",
    paper="Liu et al. (2021), Swin Transformer, ICCV",
)
