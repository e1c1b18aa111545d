"""Which nets there are: all of torchvision's, the smallest of many of timm's families."""

from __future__ import annotations

from typing import Final

# fmt: off
TORCHVISION: Final = (
    "alexnet", "convnext_base", "convnext_large", "convnext_small", "convnext_tiny", "densenet121",
    "densenet161", "densenet169", "densenet201", "efficientnet_b0", "efficientnet_b1", "efficientnet_b2",
    "efficientnet_b3", "efficientnet_b4", "efficientnet_b5", "efficientnet_b6", "efficientnet_b7",
    "efficientnet_v2_l", "efficientnet_v2_m", "efficientnet_v2_s", "googlenet", "inception_v3",
    "maxvit_t", "mnasnet0_5", "mnasnet0_75", "mnasnet1_0", "mnasnet1_3", "mobilenet_v2",
    "mobilenet_v3_large", "mobilenet_v3_small", "regnet_x_16gf", "regnet_x_1_6gf", "regnet_x_32gf",
    "regnet_x_3_2gf", "regnet_x_400mf", "regnet_x_800mf", "regnet_x_8gf", "regnet_y_128gf",
    "regnet_y_16gf", "regnet_y_1_6gf", "regnet_y_32gf", "regnet_y_3_2gf", "regnet_y_400mf",
    "regnet_y_800mf", "regnet_y_8gf", "resnet101", "resnet152", "resnet18", "resnet34", "resnet50",
    "resnext101_32x8d", "resnext101_64x4d", "resnext50_32x4d",
    "segmentation.deeplabv3_mobilenet_v3_large", "segmentation.deeplabv3_resnet101",
    "segmentation.deeplabv3_resnet50", "segmentation.fcn_resnet101", "segmentation.fcn_resnet50",
    "segmentation.lraspp_mobilenet_v3_large", "shufflenet_v2_x0_5", "shufflenet_v2_x1_0",
    "shufflenet_v2_x1_5", "shufflenet_v2_x2_0", "squeezenet1_0", "squeezenet1_1", "swin_b", "swin_s",
    "swin_t", "swin_v2_b", "swin_v2_s", "swin_v2_t", "vgg11", "vgg11_bn", "vgg13", "vgg13_bn", "vgg16",
    "vgg16_bn", "vgg19", "vgg19_bn", "vit_b_16", "vit_b_32", "vit_h_14", "vit_l_16", "vit_l_32",
    "wide_resnet101_2", "wide_resnet50_2",
)

TIMM: Final = (
    "cait_xxs24_224", "convit_tiny", "convmixer_768_32", "convnext_zepto_rms", "cpubone_nano",
    "crossvit_tiny_240", "cs3darknet_focus_s", "cspnext_tiny", "deit_tiny_patch16_224", "densenet121",
    "dla46x_c", "dpn48b", "edgenext_xx_small", "efficientformer_l1", "efficientformerv2_s0",
    "efficientvim_m1", "efficientvit_b0", "efficientvit_m0", "ese_vovnet19b_slim_dw", "fasternet_t0",
    "fastvit_t8", "focalnet_tiny_srf", "gcvit_xxtiny", "ghostnet_050", "gmlp_ti16_224", "hardcorenas_b",
    "hgnetv2_b0", "hiera_tiny_224", "hrnet_w18_small", "iformer_t", "inception_next_atto", "lcnet_035",
    "lcnetv2_small", "legacy_seresnet18", "levit_128s", "lowformer_b0", "mambaout_femto",
    "maxvit_pico_rw_256", "mobilenetv2_035", "mobileone_s1", "mobilevit_xxs", "mvitv2_tiny", "nest_tiny",
    "nf_regnet_b0", "pit_ti_224", "poolformerv2_s12", "pvt_v2_b0", "rdnet_tiny", "regnetx_002",
    "repghostnet_050", "repvit_m1", "res2next50", "resnest14d", "resnet10t", "resnetv2_18", "rexnet_100",
    "selecsls42", "sequencer2d_s", "skresnet18", "starnet_s050", "swiftformer_xs",
    "swin_tiny_patch4_window7_224", "swinv2_cr_tiny_224", "tiny_vit_5m_224", "tnt_s_legacy_patch16_224",
    "tresnet_m", "twins_svt_small", "visformer_tiny", "vit_srelpos_small_patch16_224",
    "vit_tiny_patch16_224", "vit_tiny_patch16_dinov3_qkvb", "vit_tiny_r_s16_p8_224", "vitamin_small_224",
    "volo_d1_224", "xception41p", "xcit_nano_12_p8_224",
)

TRANSFORMERS: Final = (
    "albert", "bert", "convnext", "distilbert", "gpt2", "llama", "mamba", "mobilevit", "segformer",
    "swin", "t5-encoder", "vit", "wav2vec2", "whisper-encoder",
)
# fmt: on

EVERY: Final = {"torchvision": TORCHVISION, "timm": TIMM, "transformers": TRANSFORMERS}
