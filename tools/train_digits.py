"""Trains the small digit classifier that `mmconvert demo` converts.

Run it by hand when the demonstration model has to change; the two files it writes are part of the package:

    python tools/train_digits.py

The network is tiny, yet holds what makes conversion between layouts hard: batch normalisation to fold, a
strided depthwise convolution whose SAME padding is asymmetric, a separable convolution, pooling, and a
flatten whose element order depends on the layout.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

SEED = 20
HELD_OUT = 200
LEAST_ACCURACY = 0.97
MOST_BYTES = 200_000
DEMO = Path(__file__).resolve().parent.parent / "mmconvert" / "demo"


class Split(NamedTuple):
    """Images `f32[n,8,8,1]` in [0, 1] and their digits `i64[n]`."""

    images: NDArray[np.float32]
    labels: NDArray[np.int64]


def load_digits() -> tuple[Split, Split]:
    """Returns the training part and the held-out part of scikit-learn's digits."""
    from sklearn.datasets import load_digits as sklearn_digits
    from sklearn.model_selection import train_test_split

    pixels, labels = sklearn_digits(return_X_y=True)
    images = (pixels / 16).astype(np.float32).reshape(-1, 8, 8, 1)
    train_x, test_x, train_y, test_y = train_test_split(
        images, labels.astype(np.int64), test_size=HELD_OUT, random_state=SEED, stratify=labels
    )
    return Split(train_x, train_y), Split(test_x, test_y)


def build() -> Any:
    """Returns the untrained network, every layer named."""
    import keras
    from keras import layers

    image = layers.Input((8, 8, 1), name="image")
    x = layers.Conv2D(24, 3, padding="same", use_bias=False, name="stem_conv")(image)
    x = layers.BatchNormalization(name="stem_bn")(x)
    x = layers.ReLU(name="stem_relu")(x)
    x = layers.DepthwiseConv2D(3, strides=2, padding="same", use_bias=False, name="down_depthwise")(x)
    x = layers.BatchNormalization(name="down_bn")(x)
    x = layers.ReLU(max_value=6.0, name="down_relu6")(x)
    x = layers.Conv2D(48, 1, use_bias=False, name="expand_pointwise")(x)
    x = layers.BatchNormalization(name="expand_bn")(x)
    x = layers.ReLU(name="expand_relu")(x)
    x = layers.SeparableConv2D(64, 3, padding="same", activation="relu", name="mix_separable")(x)
    x = layers.MaxPooling2D(2, name="pool")(x)
    x = layers.Flatten(name="flatten")(x)
    x = layers.Dropout(0.3, name="dropout")(x)
    probabilities = layers.Dense(10, activation="softmax", name="probabilities")(x)
    return keras.Model(image, probabilities, name="digits")


def shifted(images: NDArray[np.float32], seed: int) -> NDArray[np.float32]:
    """Moves every image by up to one pixel, so that so few examples do not overfit."""
    moves = np.random.default_rng(seed).integers(-1, 2, size=(len(images), 2))
    padded = np.pad(images, ((0, 0), (1, 1), (1, 1), (0, 0)))
    return np.stack(
        [image[1 + dy : 9 + dy, 1 + dx : 9 + dx] for image, (dy, dx) in zip(padded, moves, strict=True)]
    )


def train(data: Split, epochs: int) -> Any:
    """Returns the trained network without its optimizer, which would only make the file larger."""
    import keras
    import tensorflow as tf

    keras.utils.set_random_seed(SEED)
    tf.config.experimental.enable_op_determinism()
    model = build()
    steps = epochs * -(-len(data.images) // 32)
    model.compile(
        optimizer=keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(5e-3, steps)),
        loss="sparse_categorical_crossentropy",
    )
    for epoch in range(epochs):
        model.fit(shifted(data.images, epoch), data.labels, batch_size=32, epochs=1, verbose=0)
    bare = build()
    bare.set_weights(model.get_weights())
    return bare


def accuracy(model: Any, data: Split) -> float:
    """Returns the share of images whose digit the model finds."""
    guesses = np.argmax(model.predict(data.images, verbose=0), axis=-1)
    return float(np.mean(guesses == data.labels))


def main() -> int:
    """Trains, checks and writes the model and its held-out images; returns the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--epochs", type=int, default=80)
    parser.add_argument("--out", type=Path, default=DEMO, help="folder for digits.keras and digits.npz")
    options = parser.parse_args()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    learn, held_out = load_digits()
    model = train(learn, options.epochs)
    score = accuracy(model, held_out)
    print(f"held-out accuracy {score:.4f}, {model.count_params()} parameters")
    if score < LEAST_ACCURACY:
        print(f"below {LEAST_ACCURACY}: nothing written", file=sys.stderr)
        return 1
    options.out.mkdir(parents=True, exist_ok=True)
    model.save(options.out / "digits.keras")
    np.savez_compressed(options.out / "digits.npz", images=held_out.images, labels=held_out.labels)
    size = (options.out / "digits.keras").stat().st_size
    print(f"{options.out / 'digits.keras'}: {size} bytes")
    return 0 if size < MOST_BYTES else 1


if __name__ == "__main__":
    raise SystemExit(main())
