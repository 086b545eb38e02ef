"""Networks of public packages with random weights, and how far their matrices on arrays are from the float network.

Sizes and inputs are small: what is tried is the code of the architectures, not what they can do.
"""

from __future__ import annotations

import copy
import csv
import importlib
import io
import warnings
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, fields, replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import torch
from torch import nn

from accuracy import ConversionError, analog_layers, calibrate, convert, coverage
from accuracy.batches import Batch, batch_of
from accuracy.layers.analog_layers import AnalogLayer
from accuracy.layers.equivalence import difference
from circuits import CoreDesign

PRECISE = CoreDesign(
    name="precise", weight_bits=16, bits_per_cell=15, weight_scale="column", input_bits=None, adc_bits=None
)
"""16-bit weights, inputs as they are, no ADC; with ideal cells nothing but the weights is rounded."""

REFERENCE = Path(__file__).parent.parent / "reference" / "architectures.csv"
PAGE = Path(__file__).parent.parent.parent / "docs" / "architectures.md"
_BEGIN, _END = "<!-- written by scripts/record_architectures.py -->", "<!-- end -->"


@dataclass(frozen=True)
class Architecture:
    """A network of a public package.

    Attributes:
        name: what its package calls it.
        package: where it comes from.
        family: what kind of network it is.
        make: returns it, its weights random.
        example: returns inputs of it.
        refused: of a network that conversion refuses, the operation that the message names.
    """

    name: str
    package: str
    family: str
    make: Callable[[], nn.Module]
    example: Callable[[], Any]
    refused: str = ""


@dataclass(frozen=True)
class Row:
    """How far a network on precise arrays is from the float network, relative to the norm of the outputs.

    Attributes:
        name: what its package calls it.
        package: where it comes from.
        family: what kind of network it is.
        weights: numbers in all its matrices and tables.
        analog_weights: fraction of them on arrays.
        analog_macs: fraction of the multiply-accumulates on arrays.
        arrays: difference from the float network with the same rounded weights: what arrays do to it.
        rounding: difference of that network from the original: what 16-bit weights do.
        whole: difference of the arrays from the original.
        refused: the operation for which conversion refuses it; the numbers are 0 then.
    """

    name: str
    package: str
    family: str
    weights: int = 0
    analog_weights: float = 0.0
    analog_macs: float = 0.0
    arrays: float = 0.0
    rounding: float = 0.0
    whole: float = 0.0
    refused: str = ""


@cache
def package(name: str) -> Any:
    """Return an installed package.

    A torchvision whose compiled operators do not load beside a torch built for the CPU only registers functions for
    them all the same; so that it can be imported, the operators are declared. None of the networks here uses them.

    Raises:
        ImportError: it is not installed.
    """
    if name != "torchvision" and importlib.util.find_spec("torchvision") is not None:
        package("torchvision")
    try:
        return importlib.import_module(name)
    except RuntimeError as error:
        if name != "torchvision" or "torchvision::nms does not exist" not in str(error):
            raise
    for operator in ("nms", "qnms"):
        torch.library.define(f"torchvision::{operator}", "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    return importlib.import_module(name)


def row_of(architecture: Architecture) -> Row:
    """Measure a network; of one that is refused, say so.

    Raises:
        ConversionError: conversion refuses it for another reason than the one given, or not at all.
    """
    if not architecture.refused:
        return measured(architecture)
    try:
        measured(architecture)
    except ConversionError as error:
        if architecture.refused in str(error):
            return Row(architecture.name, architecture.package, architecture.family, refused=architecture.refused)
        raise
    raise ConversionError(f"{architecture.name} is not refused.")


def measured(architecture: Architecture) -> Row:
    """Convert a network to precise arrays with ideal cells and compare.

    Raises:
        ConversionError: conversion refuses it.
    """
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        # What packages warn of, and that batch norm stays digital where torch.fx does not follow.
        warnings.simplefilter("ignore")
        torch.manual_seed(0)
        model, example = architecture.make().eval(), architecture.example()
        batch = batch_of((example, None))
        drawn(model, batch)
        with torch.inference_mode():
            original = batch.run(model)
        require_varied(original)
        converted = calibrate(convert(model, PRECISE, example=example), [(example, None)])
        layers = analog_layers(converted)
        with torch.inference_mode():
            found = batch.run(converted)
        for layer in layers:
            layer.stand_in = with_rounded_weights(layer)
        with torch.inference_mode():
            rounded = batch.run(converted)
    covered = coverage(converted)
    errors = (difference(found, rounded), difference(rounded, original), difference(found, original))
    arrays, rounding, whole = (float("nan") if error is None else error for error in errors)
    return Row(
        architecture.name, architecture.package, architecture.family,
        sum(row.weights for row in covered.matrices), covered.analog_weights, covered.analog_macs,
        arrays, rounding, whole,
    )  # fmt: skip


def drawn(model: nn.Module, batch: Batch) -> None:
    """Draw what initial values switch off, and give batch norms the scale of their inputs, in place.

    So that every matrix counts: packages begin with branches that add nothing (zero matrices, layer scales and last
    norms near zero), with weights so small that residuals and norms hide them, and with norms in which signals fade.
    """
    for name, parameter in model.named_parameters():
        if not parameter.is_floating_point() or not parameter.numel():
            continue
        with torch.no_grad():
            if parameter.dim() > 1 and max(parameter.shape[1:]) > 1:
                fan = parameter[0].numel()
                if float(parameter.square().mean()) * fan < 0.5:
                    parameter.normal_(0.0, fan**-0.5)
            elif "bias" not in name and float(parameter.abs().max()) < 0.1:
                parameter.uniform_(0.5, 1.0)
    hooks = [
        module.register_forward_pre_hook(_scaled)
        for module in model.modules()
        if isinstance(module, nn.modules.batchnorm._BatchNorm)
    ]
    if hooks:
        with torch.no_grad():
            batch.run(model)
    for hook in hooks:
        hook.remove()


def _scaled(norm: Any, arguments: tuple[torch.Tensor, ...]) -> None:
    """Let a batch norm divide by the root mean square of what it is given, so that signals neither fade nor grow."""
    norm.running_mean.zero_()
    norm.running_var.fill_(float(arguments[0].square().mean()))


def require_varied(outputs: Any) -> None:
    """See to it that outputs follow the inputs: a network that gives the same for all proves nothing.

    Random networks give much the same for all pictures where they are deep; ten times what is asked of arrays will do.
    """
    whole = next(part for part in torch.utils._pytree.tree_leaves(outputs) if isinstance(part, torch.Tensor))
    spread = float((whole[1:] - whole[:1]).norm() / whole[1:].norm())
    assert spread > 1e-3, f"outputs of the examples are the same but for {spread:.2g}"


def with_rounded_weights(layer: AnalogLayer) -> Callable[[AnalogLayer, torch.Tensor], torch.Tensor]:
    """Return what stands in for an analog layer: its float layer with weights of 16 bits.

    The largest magnitude of each column is the last integer.
    """
    matrix = layer.matrix().to(torch.float64)
    step = matrix.abs().amax(dim=0, keepdim=True) / (2**15 - 1)
    step[step == 0] = 1.0
    twin = copy.copy(layer.digital)
    twin._parameters = dict(twin._parameters)
    layer.kind.lay_in(twin, ((matrix / step).round() * step).float(), layer.kind.bias(layer.digital))

    def stand_in(_: AnalogLayer, x: torch.Tensor) -> torch.Tensor:
        outputs: torch.Tensor = twin(x)
        return torch.relu(outputs) if layer.relu else outputs

    return stand_in


def written(rows: Iterable[Row]) -> str:
    """Return rows as the text of a CSV file, fractions with four digits."""
    text = io.StringIO()
    writer = csv.DictWriter(text, [field.name for field in fields(Row)], lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({k: f"{v:.4g}" if isinstance(v, float) else v for k, v in asdict(row).items()})
    return text.getvalue()


def recorded() -> list[Row]:
    """Return the rows that were recorded."""
    kinds = {"weights": int, "name": str, "package": str, "family": str, "refused": str}
    with REFERENCE.open(encoding="utf-8", newline="") as file:
        return [Row(**{k: kinds.get(k, float)(v) for k, v in row.items()}) for row in csv.DictReader(file)]


def with_table(page: str, rows: Iterable[Row]) -> str:
    """Return the text of a page with its table written anew."""
    before, _, rest = page.partition(_BEGIN)
    lines = [
        "| network | package | family | weights [M] | analog MACs [%] | arrays | rounding | both |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for row in rows:
        head = f"| `{row.name}` | {row.package} | {row.family} |"
        if row.refused:
            lines.append(f"{head} | | refused: `{row.refused}` | | |")
            continue
        errors = " | ".join(f"{value:.1e}" for value in (row.arrays, row.rounding, row.whole))
        lines.append(f"{head} {row.weights / 1e6:.3g} | {100 * row.analog_macs:.4g} | {errors} |")
    return before + "\n".join([_BEGIN, *lines, _END]) + rest.partition(_END)[2]


def _images(side: int, images: int = 4) -> torch.Tensor:
    """Coarse patches of colour with some noise: pictures that differ as a whole."""
    patches = torch.nn.functional.interpolate(torch.randn(images, 3, 4, 4), (side, side), mode="bilinear")
    return patches + 0.3 * torch.randn(images, 3, side, side)


def _timm(name: str, family: str, side: int = 64, **options: Any) -> Architecture:
    def make() -> nn.Module:
        model: nn.Module = package("timm").create_model(name, pretrained=False, num_classes=10, **options)
        return model

    return Architecture(name, "timm", family, make, partial(_images, options.get("img_size", side)))


def _torchvision(name: str, family: str, side: int = 64, **options: Any) -> Architecture:
    def make() -> nn.Module:
        model: nn.Module = package("torchvision").models.get_model(name, weights=None, num_classes=10, **options)
        return model

    return Architecture(name, "torchvision", family, make, partial(_images, side))


def _video(name: str, family: str) -> Architecture:
    """The same on eight pictures of 32 pixels."""
    return replace(_torchvision(name, family), example=partial(torch.randn, 2, 3, 8, 32, 32))


_SMALL = {
    "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 96, "vocab_size": 101,
}  # fmt: skip


def _transformers(
    name: str, family: str, example: Callable[[], Any], refused: str = "", label: str = "", **sizes: Any
) -> Architecture:
    def make() -> nn.Module:
        library = package("transformers")
        kind: Any = getattr(library, name)
        model: nn.Module = kind(kind.config_class(**sizes))
        return model

    return Architecture(label or name, "transformers", family, make, example, refused)


def _tokens(*names: str) -> dict[str, torch.Tensor]:
    return {name: torch.randint(3, 101, (2, 12)) for name in names or ("input_ids",)}


_DECODER = _SMALL | {"use_cache": False, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
_GROUPED = _DECODER | {"num_key_value_heads": 2, "max_position_embeddings": 32}
_MIXTURE = _GROUPED | {"num_local_experts": 4, "num_experts_per_tok": 2}

ARCHITECTURES = (
    # Convolutions
    _torchvision("alexnet", "convolutions"),
    _torchvision("vgg11", "convolutions", 32),
    _timm("resnet18", "residual"),
    _timm("resnet26", "residual"),
    _timm("resnetv2_50x1_bit", "residual, weight standardisation"),
    _timm("nf_resnet26", "residual, weight standardisation"),
    _timm("eca_nfnet_l0", "residual, weight standardisation"),
    _timm("wide_resnet50_2", "residual"),
    _timm("resnext50_32x4d", "residual, groups"),
    _timm("seresnet18", "residual, squeeze and excitation"),
    _timm("regnety_002", "residual, groups"),
    _timm("res2net50_14w_8s", "residual, split channels"),
    _timm("skresnet18", "residual, selected kernels"),
    _timm("densenet121", "dense connections"),
    _timm("dla34", "aggregation"),
    _timm("hrnet_w18_small", "parallel resolutions"),
    _timm("inception_v3", "inception", 96),
    _torchvision("googlenet", "inception", init_weights=False, aux_logits=False),
    _timm("xception41", "depthwise"),
    _torchvision("squeezenet1_1", "fire"),
    _torchvision("shufflenet_v2_x0_5", "depthwise, shuffled channels"),
    _torchvision("mobilenet_v2", "depthwise"),
    _timm("mobilenetv3_small_050", "depthwise"),
    _timm("mnasnet_small", "depthwise"),
    _timm("ghostnet_050", "depthwise"),
    _timm("efficientnet_lite0", "depthwise"),
    _timm("tf_efficientnet_lite0", "depthwise, padding SAME"),
    _timm("repvgg_a0", "re-parametrised branches"),
    _timm("convnext_atto", "depthwise, layer norm"),
    _timm("convnextv2_atto", "depthwise, layer norm"),
    _video("r3d_18", "three-dimensional convolutions"),
    _torchvision("lraspp_mobilenet_v3_large", "segmentation", weights_backbone=None),
    # Images as tokens
    _timm("vit_tiny_patch16_224", "vision transformer", img_size=64),
    _timm("deit_tiny_distilled_patch16_224", "vision transformer", img_size=64),
    _timm("cait_xxs24_224", "vision transformer", img_size=64),
    _timm("xcit_nano_12_p16_224", "vision transformer", img_size=64),
    _timm("pit_ti_224", "vision transformer", img_size=64),
    _timm("swin_tiny_patch4_window7_224", "shifted windows", img_size=56),
    _torchvision("swin_t", "shifted windows", 56),
    _timm("levit_128s", "convolutions and attention", 224),
    _timm("mobilevit_xxs", "convolutions and attention"),
    _timm("coat_lite_tiny", "convolutions and attention", img_size=64),
    _timm("mixer_s32_224", "MLP mixer", img_size=64),
    _timm("gmlp_s16_224", "MLP mixer", img_size=64),
    _timm("poolformer_s12", "pooling former"),
    _timm("sequencer2d_s", "LSTM over pixels", img_size=28),
    # Language, speech, both
    _transformers(
        "GPT2LMHeadModel", "decoder", _tokens, vocab_size=101, n_positions=32, n_embd=64, n_layer=2, n_head=4,
        use_cache=False, bos_token_id=1, eos_token_id=2,
    ),
    _transformers("OPTForCausalLM", "decoder", _tokens, **_DECODER, ffn_dim=96, word_embed_proj_dim=64),
    _transformers(
        "BloomForCausalLM", "decoder", _tokens, hidden_size=64, n_layer=2, n_head=4, vocab_size=101, use_cache=False,
    ),
    _transformers("GPTNeoXForCausalLM", "decoder", _tokens, **_DECODER),
    _transformers("LlamaForCausalLM", "decoder", _tokens, **_GROUPED),
    _transformers("MistralForCausalLM", "decoder", _tokens, **_GROUPED),
    _transformers("Qwen2ForCausalLM", "decoder", _tokens, **_GROUPED),
    _transformers("Gemma2ForCausalLM", "decoder", _tokens, **_GROUPED, head_dim=16),
    _transformers("PhiForCausalLM", "decoder", _tokens, **_GROUPED),
    _transformers(
        "MixtralForCausalLM", "mixture of experts", _tokens, label="MixtralForCausalLM, eager experts",
        experts_implementation="eager", **_MIXTURE,
    ),
    _transformers("MixtralForCausalLM", "mixture of experts", _tokens, refused="grouped_mm", **_MIXTURE),
    _transformers(
        "MambaForCausalLM", "state space", _tokens, hidden_size=64, num_hidden_layers=2, vocab_size=101, state_size=8,
        use_cache=False,
    ),
    _transformers("BertModel", "encoder", _tokens, **_SMALL),
    _transformers("DistilBertModel", "encoder", _tokens, dim=64, n_layers=2, n_heads=4, hidden_dim=96, vocab_size=101),
    _transformers("AlbertModel", "encoder, shared layers", _tokens, embedding_size=32, **_SMALL),
    _transformers("DebertaV2Model", "encoder", _tokens, **_SMALL, relative_attention=True, pos_att_type=["p2c", "c2p"]),
    _transformers(
        "T5ForConditionalGeneration", "encoder and decoder", partial(_tokens, "input_ids", "decoder_input_ids"),
        d_model=64, d_kv=16, d_ff=96, num_layers=2, num_heads=4, vocab_size=101, use_cache=False,
    ),
    _transformers(
        "BartModel", "encoder and decoder", _tokens, vocab_size=101, d_model=64, encoder_layers=2, decoder_layers=2,
        encoder_attention_heads=4, decoder_attention_heads=4, encoder_ffn_dim=96, decoder_ffn_dim=96, use_cache=False,
        max_position_embeddings=32,
    ),
    _transformers(
        "ViTModel", "vision transformer", partial(_images, 32), hidden_size=64, num_hidden_layers=2,
        num_attention_heads=4, intermediate_size=96, image_size=32, patch_size=8,
    ),
    _transformers(
        "Wav2Vec2Model", "speech", partial(torch.randn, 2, 3200), **_SMALL, conv_dim=[32] * 7,
        num_conv_pos_embeddings=16, num_conv_pos_embedding_groups=4,
    ),
)  # fmt: skip
