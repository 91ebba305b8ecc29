"""The figures of the dual-pathway network: what each is called and made from."""

from fernet_neuro.figures.spec import place_figure

_HERE = "fernet_neuro.systems.crpn.figures"
FIG1 = place_figure(
    f"{_HERE}.fig1",
    "framework",
    "crpn-fig1",
    "The dual-pathway network: conceptual and perceptual pathway, and their losses",
)
FIG2 = place_figure(
    f"{_HERE}.fig2",
    "features",
    "crpn-fig2",
    "Emotion against non-emotion features of held-out faces",
    # Maps of any layers have the other files; those of this figure keep their features too.
    ("maps/store/*_non_emotion.npy",),
)
FIG3 = place_figure(
    f"{_HERE}.fig3",
    "styles",
    "crpn-fig3",
    "Faces of two styles under networks trained on either",
    ("styles/accuracies.csv", "styles/maps/*/settings.json"),
)
FIG4 = place_figure(
    f"{_HERE}.fig4",
    "identity",
    "crpn-fig4",
    "Identity in the non-emotion features, before and after fine-tuning",
    ("identity/accuracies.csv", "identity/maps/*/settings.json"),
)
