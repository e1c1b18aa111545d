"""One row for each layer and each setting that changes what it computes: a name, an input, and the layer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Row:
    """A model of one layer, or of a few that belong together.

    Attributes:
        name: unique.
        shapes: of the inputs, without the batch.
        make: from ``keras.layers`` and the inputs to the outputs.
        dtype: of the inputs.
        tolerance: in units of the usual one.
    """

    name: str
    shapes: tuple[tuple[int | None, ...], ...]
    make: Callable[..., Any]
    dtype: str = "float32"
    tolerance: float = 1.0

    def build(self, keras: Any) -> Any:
        inputs = [keras.Input(shape, dtype=self.dtype) for shape in self.shapes]
        return keras.Model(inputs, self.make(keras, *inputs))


def _rows(shape: tuple[int | None, ...], **layers: Callable[[Any], Any]) -> list[Row]:
    """Rows of layers over one input; ``layers`` make a layer from ``keras.layers``."""
    return [
        Row(name, (shape,), lambda keras, x, make=make: make(keras.layers)(x))
        for name, make in layers.items()
    ]


LINE, IMAGE, VOLUME = (9, 4), (7, 8, 4), (5, 6, 4, 2)

CONV = [
    *_rows(
        LINE,
        conv1d=lambda L: L.Conv1D(3, 3),
        conv1d_same_strided=lambda L: L.Conv1D(3, 4, 2, "same"),
        conv1d_causal=lambda L: L.Conv1D(3, 3, padding="causal"),
        conv1d_causal_dilated=lambda L: L.Conv1D(3, 3, padding="causal", dilation_rate=2),
        conv1d_groups=lambda L: L.Conv1D(6, 3, groups=2, activation="relu"),
        conv1d_no_bias=lambda L: L.Conv1D(3, 1, use_bias=False),
        separable1d=lambda L: L.SeparableConv1D(5, 3, padding="same", depth_multiplier=2, activation="tanh"),
        separable1d_strided=lambda L: L.SeparableConv1D(5, 3, 2, use_bias=False),
        depthwise1d=lambda L: L.DepthwiseConv1D(3, depth_multiplier=3, activation="relu"),
        depthwise1d_same=lambda L: L.DepthwiseConv1D(4, 2, padding="same", use_bias=False),
        transpose1d=lambda L: L.Conv1DTranspose(3, 3, 2),
        transpose1d_same=lambda L: L.Conv1DTranspose(3, 4, 2, padding="same", activation="sigmoid"),
    ),
    *_rows(
        IMAGE,
        conv2d=lambda L: L.Conv2D(3, 3),
        conv2d_same=lambda L: L.Conv2D(3, (2, 3), padding="same", activation="relu"),
        conv2d_same_strided=lambda L: L.Conv2D(3, (3, 4), (2, 3), "same"),
        conv2d_strided=lambda L: L.Conv2D(3, 2, (1, 2), use_bias=False),
        conv2d_dilated=lambda L: L.Conv2D(3, (2, 3), dilation_rate=(3, 2), padding="same"),
        conv2d_dilated_valid=lambda L: L.Conv2D(3, 3, dilation_rate=2),
        conv2d_groups=lambda L: L.Conv2D(6, 3, groups=2),
        conv2d_depthwise_by_groups=lambda L: L.Conv2D(8, 3, groups=4, padding="same"),
        depthwise2d=lambda L: L.DepthwiseConv2D(3),
        depthwise2d_multiplier=lambda L: L.DepthwiseConv2D((2, 3), 2, "same", depth_multiplier=3),
        depthwise2d_dilated=lambda L: L.DepthwiseConv2D(3, dilation_rate=2, use_bias=False, activation="elu"),
        separable2d=lambda L: L.SeparableConv2D(5, 3),
        separable2d_multiplier=lambda L: L.SeparableConv2D(5, (2, 3), 2, "same", depth_multiplier=2),
        separable2d_dilated=lambda L: L.SeparableConv2D(5, 3, dilation_rate=2, use_bias=False),
        transpose2d=lambda L: L.Conv2DTranspose(3, 3),
        transpose2d_strided=lambda L: L.Conv2DTranspose(3, (3, 2), (2, 3), activation="relu"),
        transpose2d_same=lambda L: L.Conv2DTranspose(3, 3, 2, "same"),
        transpose2d_same_even=lambda L: L.Conv2DTranspose(3, 4, 2, "same", use_bias=False),
        transpose2d_same_small_kernel=lambda L: L.Conv2DTranspose(3, 1, 2, "same"),
        transpose2d_same_odd_total=lambda L: L.Conv2DTranspose(3, (4, 5), (3, 2), "same"),
        transpose2d_output_padding=lambda L: L.Conv2DTranspose(3, 3, 2, "valid", output_padding=1),
        transpose2d_same_output_padding=lambda L: L.Conv2DTranspose(3, 3, 2, "same", output_padding=1),
        transpose2d_same_output_padding_uneven=lambda L: L.Conv2DTranspose(
            3, (4, 3), 2, "same", output_padding=(1, 0)
        ),
    ),
    *_rows(
        VOLUME,
        conv3d=lambda L: L.Conv3D(3, 2, 2, "same"),
        conv3d_valid=lambda L: L.Conv3D(3, (1, 2, 3), activation="relu"),
        transpose3d=lambda L: L.Conv3DTranspose(3, 2, 2, use_bias=False),
        transpose3d_same=lambda L: L.Conv3DTranspose(3, 3, 2, "same"),
    ),
]

POOL = [
    *_rows(
        LINE,
        max1d=lambda L: L.MaxPooling1D(2),
        max1d_same=lambda L: L.MaxPooling1D(3, 2, padding="same"),
        average1d=lambda L: L.AveragePooling1D(3, 1, padding="same"),
        global_max1d=lambda L: L.GlobalMaxPooling1D(),
        global_average1d=lambda L: L.GlobalAveragePooling1D(keepdims=True),
    ),
    *_rows(
        IMAGE,
        max2d=lambda L: L.MaxPooling2D(),
        max2d_same=lambda L: L.MaxPooling2D((3, 2), (2, 3), padding="same"),
        max2d_overlapping=lambda L: L.MaxPooling2D(3, 1),
        average2d=lambda L: L.AveragePooling2D((2, 3)),
        average2d_same=lambda L: L.AveragePooling2D(3, 2, padding="same"),
        global_max2d=lambda L: L.GlobalMaxPooling2D(keepdims=True),
        global_average2d=lambda L: L.GlobalAveragePooling2D(),
    ),
    *_rows(
        VOLUME,
        max3d=lambda L: L.MaxPooling3D(2),
        average3d_same=lambda L: L.AveragePooling3D((2, 3, 2), 2, padding="same"),
        global_max3d=lambda L: L.GlobalMaxPooling3D(),
        global_average3d=lambda L: L.GlobalAveragePooling3D(keepdims=True),
    ),
]

NORM = [
    *_rows(
        IMAGE,
        batch_norm=lambda L: L.BatchNormalization(),
        batch_norm_axis_1=lambda L: L.BatchNormalization(axis=1, epsilon=0.1),
        batch_norm_no_scale=lambda L: L.BatchNormalization(scale=False),
        batch_norm_no_center=lambda L: L.BatchNormalization(center=False),
        batch_norm_bare=lambda L: L.BatchNormalization(center=False, scale=False),
        batch_norm_renorm=lambda L: L.BatchNormalization(renorm=True),
        layer_norm=lambda L: L.LayerNormalization(),
        layer_norm_two_axes=lambda L: L.LayerNormalization(axis=[1, 2], epsilon=0.01),
        layer_norm_mixed_axes=lambda L: L.LayerNormalization(axis=[1, -1]),
        layer_norm_all_axes=lambda L: L.LayerNormalization(axis=[1, 2, 3], scale=False),
        layer_norm_no_center=lambda L: L.LayerNormalization(center=False),
        layer_norm_bare=lambda L: L.LayerNormalization(center=False, scale=False),
        layer_norm_rms=lambda L: L.LayerNormalization(rms_scaling=True),
        layer_norm_rms_axes=lambda L: L.LayerNormalization(axis=[1, 3], rms_scaling=True),
        rms_norm=lambda L: L.RMSNormalization(),
        rms_norm_axes=lambda L: L.RMSNormalization(axis=[2, 3], epsilon=0.1),
        group_norm=lambda L: L.GroupNormalization(2),
        group_norm_instance=lambda L: L.GroupNormalization(-1, epsilon=0.1),
        group_norm_one=lambda L: L.GroupNormalization(1, scale=False),
        group_norm_axis_1=lambda L: L.GroupNormalization(7, axis=1, center=False),
        unit_norm=lambda L: L.UnitNormalization(),
        unit_norm_axes=lambda L: L.UnitNormalization(axis=[1, 2]),
        normalization=lambda L: L.Normalization(),
        normalization_axes=lambda L: L.Normalization(axis=[1, 3]),
        normalization_all=lambda L: L.Normalization(axis=None),
        normalization_given=lambda L: L.Normalization(mean=[1.0, 2, 3, 4], variance=[1.0, 0.5, 2, 0]),
        normalization_given_one=lambda L: L.Normalization(mean=2.0, variance=4.0),
        normalization_given_part=lambda L: L.Normalization(
            axis=[1, 3], mean=[1.0, 2, 3, 4], variance=[1.0, 0.5, 2, 1]
        ),
        normalization_inverted=lambda L: L.Normalization(
            invert=True, mean=[1.0, 2, 3, 4], variance=[1.0, 4, 2, 1]
        ),
    ),
    *_rows(
        (6,),
        batch_norm_flat=lambda L: L.BatchNormalization(),
        group_norm_flat=lambda L: L.GroupNormalization(3),
    ),
    *_rows(
        LINE,
        group_norm_line=lambda L: L.GroupNormalization(2),
        layer_norm_line=lambda L: L.LayerNormalization(),
    ),
]

SHAPE = [
    *_rows(
        IMAGE,
        flatten=lambda L: L.Flatten(),
        flatten_channels_first=lambda L: L.Flatten(data_format="channels_first"),
        reshape=lambda L: L.Reshape((8, 28)),
        reshape_unknown=lambda L: L.Reshape((14, -1, 2)),
        permute=lambda L: L.Permute((3, 1, 2)),
        pad2d=lambda L: L.ZeroPadding2D(((1, 2), (0, 3))),
        pad2d_one=lambda L: L.ZeroPadding2D(2),
        pad2d_two=lambda L: L.ZeroPadding2D((1, 2)),
        pad2d_first=lambda L: L.ZeroPadding2D((1, 2), data_format="channels_first"),
        crop2d=lambda L: L.Cropping2D(((1, 2), (0, 3))),
        crop2d_one=lambda L: L.Cropping2D(1),
        crop2d_first=lambda L: L.Cropping2D(((1, 2), (0, 3)), data_format="channels_first"),
        up2d=lambda L: L.UpSampling2D(),
        up2d_uneven=lambda L: L.UpSampling2D((3, 1)),
        up2d_bilinear=lambda L: L.UpSampling2D((2, 3), interpolation="bilinear"),
        up2d_lanczos3=lambda L: L.UpSampling2D((2, 3), interpolation="lanczos3"),
        up2d_lanczos5=lambda L: L.UpSampling2D(2, interpolation="lanczos5"),
        up2d_first=lambda L: L.UpSampling2D(2, data_format="channels_first"),
        up2d_first_bilinear=lambda L: L.UpSampling2D(
            2, data_format="channels_first", interpolation="bilinear"
        ),
        up2d_first_lanczos=lambda L: L.UpSampling2D(
            2, data_format="channels_first", interpolation="lanczos3"
        ),
        resizing=lambda L: L.Resizing(5, 11),
        resizing_nearest=lambda L: L.Resizing(5, 11, interpolation="nearest"),
        rescaling=lambda L: L.Rescaling(1 / 127.5, -1.0),
        rescaling_channels=lambda L: L.Rescaling([1.0, 2.0, 3.0, 4.0], offset=[0.0, 1.0, 0.0, -1.0]),
    ),
    # TensorFlow takes the weights of the cubic from a table of 1024 fractions.
    Row(
        "up2d_bicubic",
        (IMAGE,),
        lambda keras, x: keras.layers.UpSampling2D((2, 3), interpolation="bicubic")(x),
        tolerance=100,
    ),
    Row(
        "resizing_bicubic",
        (IMAGE,),
        lambda keras, x: keras.layers.Resizing(9, 6, interpolation="bicubic")(x),
        tolerance=100,
    ),
    *_rows(
        LINE,
        pad1d=lambda L: L.ZeroPadding1D((1, 2)),
        pad1d_one=lambda L: L.ZeroPadding1D(2),
        crop1d=lambda L: L.Cropping1D((1, 2)),
        up1d=lambda L: L.UpSampling1D(3),
        dense_line=lambda L: L.Dense(3, activation="tanh"),
        dense_line_no_bias=lambda L: L.Dense(3, use_bias=False),
    ),
    *_rows(
        VOLUME,
        pad3d=lambda L: L.ZeroPadding3D(((1, 0), (0, 2), (1, 1))),
        crop3d=lambda L: L.Cropping3D(((1, 0), (0, 2), (1, 1))),
        up3d=lambda L: L.UpSampling3D((2, 1, 3)),
    ),
    *_rows(
        (6,),
        dense=lambda L: L.Dense(3),
        dense_relu=lambda L: L.Dense(3, activation="relu", use_bias=False),
        repeat=lambda L: L.RepeatVector(4),
        flatten_flat=lambda L: L.Flatten(),
        reshape_flat=lambda L: L.Reshape((3, 2)),
    ),
    *_rows((), flatten_scalar=lambda L: L.Flatten()),
    *_rows(
        (None, None, 4),
        dynamic_up2d=lambda L: L.UpSampling2D(2),
        dynamic_conv=lambda L: L.Conv2D(3, 3, 2, "same"),
    ),
    *_rows(
        (None, 4),
        dynamic_average=lambda L: L.GlobalAveragePooling1D(),
        dynamic_pad=lambda L: L.ZeroPadding1D(2),
    ),
    *_rows(
        IMAGE,
        dropout=lambda L: L.Dropout(0.5),
        spatial_dropout=lambda L: L.SpatialDropout2D(0.5),
        alpha_dropout=lambda L: L.AlphaDropout(0.5),
        gaussian_dropout=lambda L: L.GaussianDropout(0.5),
        gaussian_noise=lambda L: L.GaussianNoise(0.5),
        activity=lambda L: L.ActivityRegularization(0.5, 0.1),
        identity=lambda L: L.Identity(),
        random_flip=lambda L: L.RandomFlip(),
        random_rotation=lambda L: L.RandomRotation(0.1),
        random_zoom=lambda L: L.RandomZoom(0.1),
        random_contrast=lambda L: L.RandomContrast(0.1),
        random_translation=lambda L: L.RandomTranslation(0.1, 0.1),
    ),
]

ACTIVATION_NAMES = [
    "relu",
    "leaky_relu",
    "relu6",
    "softmax",
    "celu",
    "elu",
    "selu",
    "softplus",
    "softsign",
    "squareplus",
    "soft_shrink",
    "sparse_plus",
    "silu",
    "gelu",
    "glu",
    "tanh",
    "tanh_shrink",
    "sigmoid",
    "sparse_sigmoid",
    "exponential",
    "hard_sigmoid",
    "hard_silu",
    "hard_tanh",
    "hard_shrink",
    "linear",
    "mish",
    "log_softmax",
    "log_sigmoid",
    "sparsemax",
    "swish",
    "hard_swish",
]

ACTIVATION = [
    *_rows(
        LINE, **{f"activation_{name}": lambda L, name=name: L.Activation(name) for name in ACTIVATION_NAMES}
    ),
    *_rows(
        LINE,
        relu=lambda L: L.ReLU(),
        relu_max=lambda L: L.ReLU(max_value=1.0),
        relu_6=lambda L: L.ReLU(6.0),
        relu_slope=lambda L: L.ReLU(negative_slope=0.1),
        relu_threshold=lambda L: L.ReLU(threshold=0.5),
        relu_threshold_slope=lambda L: L.ReLU(threshold=0.5, negative_slope=0.1),
        relu_max_slope=lambda L: L.ReLU(max_value=1.0, negative_slope=0.1),
        relu_everything=lambda L: L.ReLU(max_value=1.0, negative_slope=0.1, threshold=0.25),
        leaky=lambda L: L.LeakyReLU(),
        leaky_slope=lambda L: L.LeakyReLU(negative_slope=0.05),
        elu=lambda L: L.ELU(0.5),
        prelu=lambda L: L.PReLU(),
        prelu_shared=lambda L: L.PReLU(shared_axes=[1]),
        softmax=lambda L: L.Softmax(),
        softmax_axis=lambda L: L.Softmax(axis=1),
        softmax_axes=lambda L: L.Softmax(axis=[1, 2]),
        dense_with_layer=lambda L: L.Dense(3, activation=L.LeakyReLU(0.1)),
    ),
    *_rows(IMAGE, prelu_image=lambda L: L.PReLU(shared_axes=[1, 2])),
]

MERGE = [
    Row("add", (LINE, LINE), lambda keras, x, y: keras.layers.Add()([x, y])),
    Row("add_same", (LINE,), lambda keras, x: keras.layers.Add()([x, x])),
    Row("add_three", (LINE, LINE, LINE), lambda keras, *x: keras.layers.Add()(x)),
    Row("add_ranks", (LINE, (4,)), lambda keras, x, y: keras.layers.Add()([x, y])),
    Row("subtract", (LINE, LINE), lambda keras, x, y: keras.layers.Subtract()([x, y])),
    Row("multiply_broadcast", (IMAGE, (1, 1, 4)), lambda keras, x, y: keras.layers.Multiply()([x, y])),
    Row("average", (LINE, LINE, LINE), lambda keras, *x: keras.layers.Average()(x)),
    Row("maximum", (LINE, LINE), lambda keras, x, y: keras.layers.Maximum()([x, y])),
    Row("minimum", (LINE, LINE), lambda keras, x, y: keras.layers.Minimum()([x, y])),
    Row("concatenate", (LINE, (9, 2)), lambda keras, x, y: keras.layers.Concatenate()([x, y])),
    Row("concatenate_axis", (LINE, (3, 4)), lambda keras, x, y: keras.layers.Concatenate(axis=1)([x, y])),
    Row("dot_vectors", ((6,), (6,)), lambda keras, x, y: keras.layers.Dot(axes=1)([x, y])),
    Row(
        "dot_normalized", ((6,), (6,)), lambda keras, x, y: keras.layers.Dot(axes=-1, normalize=True)([x, y])
    ),
    Row("dot_matrices", (LINE, (5, 9)), lambda keras, x, y: keras.layers.Dot(axes=(1, 2))([x, y])),
    Row("dot_vector_matrix", ((4,), LINE), lambda keras, x, y: keras.layers.Dot(axes=(1, 2))([x, y])),
    Row("dot_matrix_vector", (LINE, (9,)), lambda keras, x, y: keras.layers.Dot(axes=1)([x, y])),
    Row("dot_tensors", (IMAGE, (3, 8, 5)), lambda keras, x, y: keras.layers.Dot(axes=(2, 2))([x, y])),
    Row("embedding", ((5,),), lambda keras, x: keras.layers.Embedding(6, 3)(x), "int32"),
    Row("embedding_floats", ((5,),), lambda keras, x: keras.layers.Embedding(6, 3)(keras.ops.abs(x))),
    Row(
        "embedding_masked_average",
        ((5,),),
        lambda keras, x: keras.layers.GlobalAveragePooling1D()(
            keras.layers.Dense(2)(keras.layers.Embedding(6, 3, mask_zero=True)(x))
        ),
        "int32",
    ),
    Row("rescaling_integers", (IMAGE,), lambda keras, x: keras.layers.Rescaling(1 / 255)(x), "uint8"),
]

ROWS = [*CONV, *POOL, *NORM, *SHAPE, *ACTIVATION, *MERGE]
