"""What the zoo brings: read by `catalogue`, imports nothing else."""

from fernet_neuro.catalogue import System

SYSTEM = System(
    name="zoo",
    title="published face networks, with the weights of their authors",
    paper="King (2009), Dlib-ml, JMLR 10; Schroff, Kalenichenko & Philbin (2015), FaceNet, CVPR; "
    "Cao et al. (2018), VGGFace2, IEEE FG",
    licence="BSD-3-Clause; weights have licences of their own",
    networks={
        "dlib-resnet": "fernet_neuro.systems.zoo.entries:DLIB_RESNET",
        "dense-expression": "fernet_neuro.systems.zoo.entries:DENSE_EXPRESSION",
    },
    weights={
        "face-api-identity": "fernet_neuro.systems.zoo.entries:IDENTITY",
        "face-api-expression": "fernet_neuro.systems.zoo.entries:EXPRESSION",
        "facenet-vggface2": "fernet_neuro.systems.zoo.entries:FACENET",
        "vggface2-resnet50": "fernet_neuro.systems.zoo.entries:VGGFACE2",
    },
)
