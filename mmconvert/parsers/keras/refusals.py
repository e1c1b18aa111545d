"""What a user can do about layers that have no rule."""

from __future__ import annotations

from mmconvert.parsers.keras.source import Record

_CODE = (
    "its Python code is not run; say what it computes with mmconvert.parsers.keras.register('Lambda'), or use"
    " built-in layers or keras.ops instead, and save again"
)
_CUSTOM = (
    "the file does not hold the code of custom classes; say what it computes with"
    " mmconvert.parsers.keras.register('{}'), or build the model of built-in layers, and save again"
)
_FOREIGN = "it wraps a program of another framework; convert that by itself"
_TEXT = "strings are not tensors; do this step outside of the model"

_FUNCTION = "its argument is a Python function, which the file does not hold; write out what it computes"
_LOSS = "it belongs to training; take it out of the model"
_DATA = "how many numbers there are depends on their values; do this step outside of the model"
_COMPLEX = "there are no complex tensors; compute with real and imaginary parts"
_FACTORS = "no target has matrix factorizations; do this step outside of the model"
_WARP = "its sampling with other edges and orders has no operator; resize, crop, pad or rotate outside"
_SPECIAL = "no target has this function; compute it outside of the model, or with others"

OPERATIONS = {
    **dict.fromkeys(
        ("AssociativeScan", "Cond", "ForiLoop", "Function", "JVP", "Map", "Scan", "Switch"), _FUNCTION
    ),
    **dict.fromkeys(("VectorizedMap", "WhileLoop"), _FUNCTION),
    **dict.fromkeys(("BinaryCrossentropy", "CategoricalCrossentropy", "CTCLoss"), _LOSS),
    "SparseCategoricalCrossentropy": _LOSS,
    "SSIM": "it is a measure of quality; take it out of the model",
    **dict.fromkeys(("Arange", "Bincount", "CTCDecode", "Nonzero", "Unique"), _DATA),
    **dict.fromkeys(("Polar", "ViewAsComplex", "ViewAsReal"), _COMPLEX),
    **dict.fromkeys(
        ("Cholesky", "CholeskyInverse", "Eig", "Eigh", "Lstsq", "LuFactor", "Qr", "SVD"), _FACTORS
    ),
    **dict.fromkeys(("MatrixRank", "Pinv"), _FACTORS),
    **dict.fromkeys(("AffineTransform", "MapCoordinates", "PerspectiveTransform"), _WARP),
    "ScaleAndTranslate": _WARP,
    "ElasticTransform": "it draws random numbers; take it out of the model",
    **dict.fromkeys(("Erfinv", "Gcd", "I0", "Lcm", "Nextafter"), _SPECIAL),
    "View": "it reads bits as another type; use cast",
    "Argpartition": "its order is not defined; use argsort or top_k",
    "Correlate": "it works along the batch; use conv with a kernel that is a tensor",
    "Geomspace": "use exp of linspace",
    "SegmentReduction": "it has no meaning of its own; use segment_sum, segment_max or another of them",
}
"""Operations of `keras.ops` that have no rule, and what to do about each."""

LAYERS = {
    "Lambda": _CODE,
    "Merge": "merge by sum, product, mean, maximum, concatenation or dot product, and save again",
    "ContrastLimitedAdaptiveHistogramEqualization": "equalize images outside of the model",
    "DenseFeatures": "feature columns are not tensors; do this step outside of the model",
    "FlaxLayer": _FOREIGN,
    "HashedCrossing": _TEXT,
    "JaxLayer": _FOREIGN,
    "MaxNumBoundingBoxes": "it works on boxes in training data; take it out of the model",
    "StringLookup": _TEXT,
    "TFSMLayer": _FOREIGN,
    "TorchModuleWrapper": _FOREIGN,
    "TextVectorization": _TEXT,
    "Hashing": _TEXT,
}
"""Layers that have no rule, and what to do about each."""


def hint_for(layer: Record) -> str:
    """Advice on a layer that cannot be converted, empty when there is none."""
    if layer.is_custom:
        return _CUSTOM.format(layer.kind)
    return (OPERATIONS if layer.is_operation else LAYERS).get(layer.kind, "")
