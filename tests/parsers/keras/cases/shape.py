"""Layers that move, cut, pad, repeat and resize, and those that vanish."""

from __future__ import annotations

from .row import IMAGE, LINE, VOLUME, Row, rows

ROWS = [
    *rows(
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
    *rows(
        LINE,
        pad1d=lambda L: L.ZeroPadding1D((1, 2)),
        pad1d_one=lambda L: L.ZeroPadding1D(2),
        crop1d=lambda L: L.Cropping1D((1, 2)),
        up1d=lambda L: L.UpSampling1D(3),
        spatial_dropout1d=lambda L: L.SpatialDropout1D(0.5),
        dense_line=lambda L: L.Dense(3, activation="tanh"),
        dense_line_no_bias=lambda L: L.Dense(3, use_bias=False),
    ),
    *rows(
        VOLUME,
        pad3d=lambda L: L.ZeroPadding3D(((1, 0), (0, 2), (1, 1))),
        crop3d=lambda L: L.Cropping3D(((1, 0), (0, 2), (1, 1))),
        spatial_dropout3d=lambda L: L.SpatialDropout3D(0.5),
        up3d=lambda L: L.UpSampling3D((2, 1, 3)),
    ),
    *rows(
        (6,),
        dense=lambda L: L.Dense(3),
        dense_relu=lambda L: L.Dense(3, activation="relu", use_bias=False),
        repeat=lambda L: L.RepeatVector(4),
        flatten_flat=lambda L: L.Flatten(),
        reshape_flat=lambda L: L.Reshape((3, 2)),
    ),
    *rows((), flatten_scalar=lambda L: L.Flatten()),
    *rows(
        (None, None, 4),
        dynamic_up2d=lambda L: L.UpSampling2D(2),
        dynamic_conv=lambda L: L.Conv2D(3, 3, 2, "same"),
    ),
    *rows(
        (None, 4),
        dynamic_average=lambda L: L.GlobalAveragePooling1D(),
        dynamic_pad=lambda L: L.ZeroPadding1D(2),
    ),
    *rows(
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
