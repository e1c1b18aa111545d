"""Architectures of transformers, from small configurations of their own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from .net import SEED, Net, images, randomise

WORDS = 99
SMALL = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 48}


class First(nn.Module):
    """A net of which the first output is taken."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, **given: torch.Tensor) -> torch.Tensor:
        """The logits, or the last hidden state."""
        found: torch.Tensor = self.net(**given, return_dict=False)[0]
        return found


class Words(First):
    """Over words, with a mask."""

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:  # type: ignore[override]
        """The first output."""
        return super().forward(input_ids=input_ids, attention_mask=attention_mask)


class Unmasked(First):
    """Over words alone."""

    def forward(self, input_ids: torch.Tensor) -> torch.Tensor:  # type: ignore[override]
        """The first output."""
        return super().forward(input_ids=input_ids)


class Pictures(First):
    """Over images."""

    def forward(self, pixel_values: torch.Tensor) -> torch.Tensor:  # type: ignore[override]
        """The first output."""
        return super().forward(pixel_values=pixel_values)


class Sound(First):
    """Over a waveform."""

    def forward(self, input_values: torch.Tensor) -> torch.Tensor:  # type: ignore[override]
        """The first output."""
        return super().forward(input_values=input_values)


class Spectrum(First):
    """Over a spectrogram."""

    def forward(self, input_features: torch.Tensor) -> torch.Tensor:  # type: ignore[override]
        """The first output."""
        return super().forward(input_features=input_features)


def _words(kind: type[First], net: nn.Module) -> Net:
    batch, length = torch.export.Dim("batch", max=64), torch.export.Dim("length", min=2, max=64)
    axes = {0: batch, 1: length}
    names = ("input_ids", "attention_mask") if kind is Words else ("input_ids",)

    def inputs(n: int, e: int, g: torch.Generator) -> dict[str, torch.Tensor]:
        mask = torch.ones(n, e, dtype=torch.int64)
        mask[0, e // 2 :] = 0
        return dict(zip(names, (torch.randint(0, WORDS, (n, e), generator=g), mask), strict=False))

    dynamic = (dict.fromkeys(names, axes), {key: {0: batch} for key in names}, dict.fromkeys(names))
    return Net(kind(net), inputs, dynamic, (9, 16, 23))


def _audio(
    kind: type[First], net: nn.Module, name: str, shape: tuple[int, ...], extents: tuple[int, int, int]
) -> Net:
    batch, length = torch.export.Dim("batch", max=64), torch.export.Dim("length", min=64, max=4096)
    dynamic: tuple[dict[str, Any], ...] = (
        {name: {0: batch, len(shape): length}},
        {name: {0: batch}},
        {name: None},
    )
    return Net(
        kind(net), lambda n, e, g: {name: torch.randn(n, *shape[1:], e, generator=g)}, dynamic, extents
    )


def _bert(t: Any) -> Net:
    return _words(Words, t.BertModel(t.BertConfig(vocab_size=WORDS, max_position_embeddings=64, **SMALL)))


def _distilbert(t: Any) -> Net:
    config = t.DistilBertConfig(
        vocab_size=WORDS, max_position_embeddings=64, dim=32, n_layers=2, n_heads=4, hidden_dim=48
    )
    return _words(Words, t.DistilBertModel(config))


def _albert(t: Any) -> Net:
    config = t.AlbertConfig(vocab_size=WORDS, embedding_size=16, max_position_embeddings=64, **SMALL)
    return _words(Words, t.AlbertModel(config))


def _gpt2(t: Any) -> Net:
    config = t.GPT2Config(vocab_size=WORDS, n_positions=64, n_embd=32, n_layer=2, n_head=4, use_cache=False)
    return _words(Words, t.GPT2LMHeadModel(config))


def _llama(t: Any) -> Net:
    config = t.LlamaConfig(
        vocab_size=WORDS, max_position_embeddings=64, num_key_value_heads=2, use_cache=False, **SMALL
    )
    return _words(Words, t.LlamaForCausalLM(config))


def _t5(t: Any) -> Net:
    config = t.T5Config(vocab_size=WORDS, d_model=32, d_kv=8, d_ff=48, num_layers=2, num_heads=4)
    return _words(Words, t.T5EncoderModel(config))


def _mamba(t: Any) -> Net:
    config = t.MambaConfig(
        vocab_size=WORDS, hidden_size=32, state_size=4, num_hidden_layers=2, use_cache=False, time_step_rank=4
    )
    return _words(Unmasked, t.MambaModel(config))


def _vit(t: Any) -> Net:
    net = t.ViTForImageClassification(t.ViTConfig(image_size=64, patch_size=16, num_labels=10, **SMALL))
    return Net(Pictures(net), **images(64, name="pixel_values", open_extent=False))


def _swin(t: Any) -> Net:
    config = t.SwinConfig(
        image_size=64, embed_dim=16, depths=[2, 2], num_heads=[2, 4], window_size=4, num_labels=10
    )
    return Net(Pictures(t.SwinForImageClassification(config)), **images(64, name="pixel_values"))


def _segformer(t: Any) -> Net:
    config = t.SegformerConfig(
        depths=[1, 1, 1, 1], hidden_sizes=[8, 16, 24, 32], decoder_hidden_size=32, num_labels=5
    )
    net = t.SegformerForSemanticSegmentation(config)
    return Net(Pictures(net), **images(64, name="pixel_values"))


def _mobilevit(t: Any) -> Net:
    config = t.MobileViTConfig(
        hidden_sizes=[16, 24, 32],
        neck_hidden_sizes=[8, 8, 16, 24, 32, 40, 64],
        num_attention_heads=4,
        num_labels=10,
    )
    net = t.MobileViTForImageClassification(config)
    # Its patches are counted with int(), which fixes the extents.
    return Net(Pictures(net), **images(64, name="pixel_values", open_extent=False))


def _convnext(t: Any) -> Net:
    config = t.ConvNextConfig(hidden_sizes=[8, 16, 24, 32], depths=[1, 1, 2, 1], num_labels=10)
    return Net(Pictures(t.ConvNextForImageClassification(config)), **images(64, name="pixel_values"))


def _wav2vec2(t: Any) -> Net:
    config = t.Wav2Vec2Config(
        conv_dim=(16, 16, 16),
        conv_stride=(5, 2, 2),
        conv_kernel=(10, 3, 3),
        num_feat_extract_layers=3,
        num_conv_pos_embeddings=16,
        num_conv_pos_embedding_groups=4,
        vocab_size=32,
        **SMALL,
    )
    return _audio(Sound, t.Wav2Vec2ForCTC(config), "input_values", (1,), (800, 1000, 1300))


def _whisper(t: Any) -> Net:
    from transformers.models.whisper.modeling_whisper import WhisperEncoder

    config = t.WhisperConfig(
        num_mel_bins=16, d_model=32, encoder_layers=2, encoder_attention_heads=4, encoder_ffn_dim=48
    )
    config.max_source_positions = 50
    return _audio(
        Spectrum, WhisperEncoder(config), "input_features", (1, config.num_mel_bins), (100, 100, 100)
    )


BUILDERS: dict[str, Callable[[Any], Net]] = {
    "albert": _albert,
    "bert": _bert,
    "convnext": _convnext,
    "distilbert": _distilbert,
    "gpt2": _gpt2,
    "llama": _llama,
    "mamba": _mamba,
    "mobilevit": _mobilevit,
    "segformer": _segformer,
    "swin": _swin,
    "t5-encoder": _t5,
    "vit": _vit,
    "wav2vec2": _wav2vec2,
    "whisper-encoder": _whisper,
}


def build(name: str) -> Net:
    """Returns the net of this name."""
    import transformers

    torch.manual_seed(SEED)
    net = BUILDERS[name](transformers)
    net.module.eval()
    randomise(net.module)
    return net
