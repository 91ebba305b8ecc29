"""The zoo: its networks, where published weights lie and what they learnt; reading them is in `weights`."""

from typing import Any

from fernet_neuro._utils.download import RemoteFile
from fernet_neuro.catalogue import Later
from fernet_neuro.models.entry import MIT, ModelEntry, Published

_FACE_API = (
    "https://raw.githubusercontent.com/vladmandic/face-api/ad61f77ea2962809bed52b5b18966fea80ab1273/model"
)
_FACE_API_PAGE = "https://github.com/vladmandic/face-api (folder model/)"
DLIB_RESNET = ModelEntry(
    Later("fernet_neuro.systems.zoo.networks:build_dlib_resnet"),
    "dlib's face recognition ResNet: 14 blocks, 128-d descriptor, for crops of 150 px",
    {"size": 150},
    licence=MIT,
    source="restated from the description of its weights in face-api and dlib",
    paper="King (2009), Dlib-ml: A machine learning toolkit, JMLR 10",
)
DENSE_EXPRESSION = ModelEntry(
    Later("fernet_neuro.systems.zoo.networks:build_dense_expression"),
    "face-api's expression network: 0.3 M parameters, seven classes, for crops of 112 px",
    licence=MIT,
    source="restated from the description of its weights in face-api",
    paper="github.com/vladmandic/face-api",
)


def _face_api(kind: str, sizes: tuple[int, int], digests: tuple[str, str], **known: Any) -> Published:
    names = (f"face_{kind}_model.bin", f"face_{kind}_model-weights_manifest.json")
    files = tuple(map(RemoteFile, names, sizes, digests))
    return Published(
        files=files,
        address=_FACE_API,
        page=_FACE_API_PAGE,
        licence="MIT (face-api)",
        read=Later("fernet_neuro.systems.zoo.weights:read_face_api"),
        **known,
    )


IDENTITY = _face_api(
    "recognition",
    (6444032, 19615),
    (
        "b413e420d6840b2775fba32008db6f3cddb07d485967fb42cfcf379c16a8c589",
        "cbaffa501b0b9275a12b63357a6843e7e30c054e1c9151e1a5f879b26e32986b",
    ),
    network="dlib-resnet",
    input="crop of a face, 150 x 150 px, red first, (pixel - (122.782, 117.001, 104.298)) / 255",
    learnt="who is shown, on about 3 million photographs of 7,485 people; 99.4 % on LFW (its author)",
    citation="King (2009), Dlib-ml: A machine learning toolkit, JMLR 10; github.com/vladmandic/face-api",
)
EXPRESSION = _face_api(
    "expression",
    (329468, 6980),
    (
        "9a9840f2cf1f4c7eab95f197512569345c00d2426754d4608b92af30e0300f3d",
        "5b349c17c7836da506e03422cd6461c74085d8bb2713ad4114647dc5d28174c8",
    ),
    network="dense-expression",
    input="crop of a face, 112 x 112 px, red first, (pixel - (122.782, 117.001, 104.298)) / 255",
    learnt="seven expressions, on public photographs that its author does not list",
    citation="github.com/vladmandic/face-api",
    classes=("neutral", "happiness", "sadness", "anger", "fear", "disgust", "surprise"),
)
FACENET = Published(
    input="crop of a face, 160 x 160 px, red first, (pixel - 127.5) / 128; needs the package facenet-pytorch",
    network="fernet_neuro.systems.zoo.facenet:build_facenet",
    files=(
        RemoteFile(
            "20180402-114759-vggface2.pt",
            111898327,
            "281cebca8662831adb987a874bdcb36e73f5b1c6dc5ee5878f305e985625d99b",
        ),
    ),
    address="https://github.com/timesler/facenet-pytorch/releases/download/v2.2.9",
    page="https://github.com/timesler/facenet-pytorch/releases",
    learnt="who is shown, on VGGFace2 (3.3 million photographs of 8,631 people); 99.65 % on LFW (its author)",
    licence="MIT (facenet-pytorch); VGGFace2 is for research",
    citation="Schroff, Kalenichenko & Philbin (2015), FaceNet, CVPR; Cao et al. (2018), VGGFace2, IEEE FG",
)
VGGFACE2 = Published(
    network="resnet50-vggface2",
    input="crop of a face, 256 px cut to 224 x 224 px, blue first, pixel - (91.4953, 103.8827, 131.0912)",
    files=(RemoteFile("resnet50_ft_weight.pkl", 0, ""),),
    address="",
    page="https://github.com/cydonia999/VGGFace2-pytorch (resnet50_ft_weight.pkl)",
    learnt="who is shown, on MS-Celeb-1M and then VGGFace2 (3.3 million photographs of 8,631 people)",
    licence="for research (VGGFace2)",
    citation="Cao, Shen, Xie, Parkhi & Zisserman (2018), VGGFace2, IEEE FG",
)
