"""Preprocessing: sizes of images, categories, spectrograms, and adaptive pooling."""

from __future__ import annotations

from typing import Any

from .row import IMAGE, LINE, VOLUME, Row, rows

NUMBERS = (5,)


def _integers(shape: Any = NUMBERS, **layers: Any) -> list[Row]:
    return [
        Row(name, (shape,), lambda keras, x, make=make: make(keras.layers)(x), "int32")
        for name, make in layers.items()
    ]


ROWS = [
    *rows(
        IMAGE,
        resizing_crop=lambda L: L.Resizing(4, 8, crop_to_aspect_ratio=True),
        resizing_crop_wide=lambda L: L.Resizing(8, 4, crop_to_aspect_ratio=True),
        resizing_pad=lambda L: L.Resizing(4, 8, pad_to_aspect_ratio=True, fill_value=1.0),
        resizing_pad_tall=lambda L: L.Resizing(9, 4, pad_to_aspect_ratio=True),
        resizing_lanczos=lambda L: L.Resizing(4, 9, interpolation="lanczos3"),
        resizing_antialias=lambda L: L.Resizing(3, 11, antialias=True),
        resizing_antialias_bicubic=lambda L: L.Resizing(3, 5, interpolation="bicubic", antialias=True),
        resizing_first=lambda L: L.Resizing(5, 6, data_format="channels_first"),
        resizing_area=lambda L: L.Resizing(3, 5, interpolation="area"),
        center_crop=lambda L: L.CenterCrop(4, 5),
        center_crop_first=lambda L: L.CenterCrop(4, 3, data_format="channels_first"),
        center_crop_small=lambda L: L.CenterCrop(9, 4),
        random_crop=lambda L: L.RandomCrop(4, 5),
        auto_contrast=lambda L: L.AutoContrast(value_range=(-1, 1)),
        mix_up=lambda L: L.MixUp(),
        cut_mix=lambda L: L.CutMix(),
        augmix=lambda L: L.AugMix(),
        rand_augment=lambda L: L.RandAugment(),
        random_erasing=lambda L: L.RandomErasing(),
        random_hue=lambda L: L.RandomHue(0.1),
        random_jitter=lambda L: L.RandomColorJitter(brightness_factor=0.1),
        random_elastic=lambda L: L.RandomElasticTransform(),
        random_blur=lambda L: L.RandomGaussianBlur(),
        random_grayscale=lambda L: L.RandomGrayscale(),
        random_invert=lambda L: L.RandomInvert(),
        random_perspective=lambda L: L.RandomPerspective(),
        random_shear=lambda L: L.RandomShear(0.1),
        pipeline=lambda L: L.Pipeline([L.Rescaling(0.5), L.CenterCrop(4, 4)]),
        adaptive_average2d=lambda L: L.AdaptiveAveragePooling2D((3, 4)),
        adaptive_average2d_even=lambda L: L.AdaptiveAveragePooling2D((1, 2)),
        adaptive_average2d_first=lambda L: L.AdaptiveAveragePooling2D((3, 2), data_format="channels_first"),
        adaptive_max2d=lambda L: L.AdaptiveMaxPooling2D((3, 5)),
        adaptive_max2d_even=lambda L: L.AdaptiveMaxPooling2D((7, 4)),
    ),
    Row("solarization", (IMAGE,), lambda keras, x: keras.layers.Solarization()(x), suffixes=(".keras",)),
    Row(
        "random_brightness",
        (IMAGE,),
        lambda keras, x: keras.layers.RandomBrightness(0.1)(x),
        suffixes=(".keras",),
    ),
    Row(
        "random_posterization",
        (IMAGE,),
        lambda keras, x: keras.layers.RandomPosterization(4)(x),
        suffixes=(".keras",),
    ),
    Row(
        "random_saturation",
        (IMAGE,),
        lambda keras, x: keras.layers.RandomSaturation(0.1)(x),
        suffixes=(".keras",),
    ),
    Row(
        "random_sharpness",
        (IMAGE,),
        lambda keras, x: keras.layers.RandomSharpness(0.1)(x),
        suffixes=(".keras",),
    ),
    Row(
        "random_degeneration",
        ((7, 8, 3),),
        lambda keras, x: keras.layers.RandomColorDegeneration(0.1)(x),
        suffixes=(".keras",),
    ),
    *rows(
        LINE,
        adaptive_average1d=lambda L: L.AdaptiveAveragePooling1D(4),
        adaptive_max1d=lambda L: L.AdaptiveMaxPooling1D(2),
    ),
    *rows(
        VOLUME,
        adaptive_average3d=lambda L: L.AdaptiveAveragePooling3D((2, 4, 3)),
        adaptive_max3d=lambda L: L.AdaptiveMaxPooling3D(2),
    ),
    *rows((None, None, 3), center_crop_any_size=lambda L: L.CenterCrop(4, 5)),
    *_integers(
        category_multi_hot=lambda L: L.CategoryEncoding(6),
        category_count=lambda L: L.CategoryEncoding(6, output_mode="count"),
        integer_lookup=lambda L: L.IntegerLookup(vocabulary=[3, 1, 4]),
        integer_lookup_mask=lambda L: L.IntegerLookup(vocabulary=[3, 1, 4], mask_token=0),
        integer_lookup_strangers=lambda L: L.IntegerLookup(vocabulary=[3, 4], num_oov_indices=2),
        integer_lookup_multi_hot=lambda L: L.IntegerLookup(vocabulary=[3, 1, 4], output_mode="multi_hot"),
        integer_lookup_count=lambda L: L.IntegerLookup(vocabulary=[3, 1, 4], output_mode="count"),
        integer_lookup_inverted=lambda L: L.IntegerLookup(vocabulary=[3, 1, 4, 9], invert=True),
        reversible_embedding=lambda L: L.ReversibleEmbedding(6, 3),
    ),
    *_integers((1,), category_one_hot=lambda L: L.CategoryEncoding(6, output_mode="one_hot")),
    Row(
        "category_weights",
        (NUMBERS, NUMBERS),
        lambda keras, x, w: keras.layers.CategoryEncoding(6, output_mode="count")(
            keras.ops.cast(keras.ops.abs(x), "int32"), count_weights=w
        ),
    ),
    Row(
        "reversible_embedding_reversed",
        (NUMBERS,),
        lambda keras, x: _reversed(keras, x, logit_soft_cap=2.0),
        "int32",
    ),
    Row(
        "reversible_embedding_untied",
        (NUMBERS,),
        lambda keras, x: _reversed(keras, x, tie_weights=False),
        "int32",
    ),
    *rows(
        NUMBERS,
        discretization=lambda L: L.Discretization([-1.0, 0.0, 0.5]),
        discretization_one_hot=lambda L: L.Discretization([-1.0, 0.5], output_mode="one_hot"),
        discretization_count=lambda L: L.Discretization([-1.0, 0.5], output_mode="count"),
    ),
    *rows(
        (40, 2),
        stft_log=lambda L: L.STFTSpectrogram(frame_length=8),
        stft_magnitude=lambda L: L.STFTSpectrogram("magnitude", 8, 3, 16, padding="same"),
        stft_psd=lambda L: L.STFTSpectrogram("psd", 8, expand_dims=True),
        stft_real=lambda L: L.STFTSpectrogram("real", 8, window="hamming"),
        stft_imag=lambda L: L.STFTSpectrogram("imag", 8),
        stft_angle=lambda L: L.STFTSpectrogram("angle", 8),
        stft=lambda L: L.STFTSpectrogram("stft", 8, scaling="spectrum"),
    ),
    *rows(
        (100,),
        mel=lambda L: L.MelSpectrogram(32, 8, num_mel_bins=6, sampling_rate=800),
        mel_power=lambda L: L.MelSpectrogram(
            32, 8, 20, window="hamming", num_mel_bins=5, power_to_db=False, mag_exp=2.0
        ),
        mel_db=lambda L: L.MelSpectrogram(32, 16, num_mel_bins=4, top_db=5.0, ref_power=0.5, max_freq=300),
    ),
]


def _reversed(keras: Any, x: Any, **settings: Any) -> Any:
    layer = keras.layers.ReversibleEmbedding(6, 3, **settings)
    return layer(layer(x), reverse=True)
