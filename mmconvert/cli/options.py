"""Options that several commands have, and how NAME=VALUE is read."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click

from mmconvert.errors import UsageError

F = TypeVar("F", bound=Callable[..., Any])


def pairs(option: str, texts: Sequence[str]) -> Iterator[tuple[str, str]]:
    """``["a=1,b=2", "c=3"]`` as names and values; a name may have ``=`` and ``,`` in it, a value may not.

    Raises:
        UsageError: there is no ``=``, or a name stands twice; ``option`` says where.
    """
    seen = set()
    for text in texts:
        pending = ""
        for piece in text.split(","):
            name, equals, value = (pending + piece).rpartition("=")
            if not equals:
                pending += piece + ","
                continue
            if not name or not value:
                raise UsageError(f"{option} takes NAME=VALUE, not {pending + piece!r}")
            if name in seen:
                raise UsageError(f"{option} has {name!r} twice")
            seen.add(name)
            yield name, value
            pending = ""
        if pending:
            raise UsageError(f"{option} takes NAME=VALUE, not {text!r}")


def _names(context: click.Context, option: click.Parameter, texts: Sequence[str]) -> dict[str, str] | None:
    return dict(pairs(option.opts[0], texts)) or None


def _numbers(context: click.Context, option: click.Parameter, texts: Sequence[str]) -> dict[str, int] | None:
    found = dict(pairs(option.opts[0], texts))
    if wrong := next((f"{name}={value}" for name, value in found.items() if not value.isdecimal()), None):
        raise UsageError(f"{option.opts[0]} takes NAME=NUMBER, not {wrong!r}")
    return {name: int(value) for name, value in found.items()} or None


def _values(context: click.Context, option: click.Parameter, texts: Sequence[str]) -> dict[str, Any] | None:
    found: dict[str, Any] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise UsageError(f"--fix takes NAME=VALUE, not {text!r}")
        if name in found:
            raise UsageError(f"--fix has {name!r} twice")
        found[name] = _value(value)
    return found or None


def _value(text: str) -> Any:
    """A number, ``true``, a list of them as in JSON, or what an ``.npy`` file holds."""
    if text.endswith(".npy"):
        from mmconvert.cli.arrays import read_array

        return read_array(Path(text))
    try:
        return json.loads(text.lower())
    except (ValueError, RecursionError) as error:
        hint = "it takes numbers, true and false, lists of them ([1,2]) and .npy files"
        raise UsageError(f"--fix does not understand the value {text!r}", hint=hint) from error


_READING = (
    click.option(
        "--network",
        "-in",
        "--inputNetwork",
        "network",
        type=click.Path(),
        help="Keras: the architecture (JSON) of a file that holds weights only.",
    ),
    click.option(
        "--fix",
        multiple=True,
        metavar="INPUT=VALUE",
        callback=_values,
        help="ONNX: make an input a constant (k=3, training=false, axes=[0,1], m=m.npy). Not for extents.",
    ),
    click.option(
        "--items",
        multiple=True,
        metavar="INPUT=COUNT",
        callback=_numbers,
        help="ONNX: how many tensors an input of sequence or optional type holds.",
    ),
    click.option("--signature", metavar="NAME", help="TFLite: the only signature to read of several."),
    click.option(
        "--keras-activation",
        "activations",
        multiple=True,
        metavar="NAME=ACTIVATION",
        callback=_names,
        help="Keras: what an activation is that is not Keras's own ('<lambda>=leaky_relu:0.2').",
    ),
    click.option(
        "--hybrid",
        type=click.Choice(["exact", "float"]),
        help="TFLite: read floats times weights of 8 bits as runtimes compute them, which quantize the "
        "floats (exact, the default), or as what the weights mean (float).",
    ),
    click.option(
        "--module",
        metavar="PACKAGE.MODULE:FACTORY",
        help="PyTorch: your own code that builds the module of a file of weights (it is run).",
    ),
    click.option(
        "--state-key", metavar="KEY", help="PyTorch: which state dict of a checkpoint; else what fits best."
    ),
    click.option(
        "--trust-pickle",
        is_flag=True,
        default=None,
        help="PyTorch: unpickle a whole module. WHATEVER CODE THE FILE NAMES RUNS, with all your rights.",
    ),
    click.option(
        "--fix-dims",
        multiple=True,
        metavar="DIM=N,...",
        callback=_numbers,
        help="Numbers for open extents of inputs, by name (batch=1) or input and axis (image:0=1).",
    ),
)

_JUDGING = (
    click.option(
        "--inputs",
        multiple=True,
        metavar="[NAME=]FILE",
        help="Verify on these arrays (.npy, .npz), or on one image, or a folder of images or arrays.",
    ),
    click.option(
        "--thorough",
        is_flag=True,
        help="Try more generated inputs: odd extents, a batch of 3, constant, ramp, one-hot, large.",
    ),
    click.option(
        "--tolerance",
        type=float,
        metavar="ERROR",
        help="The error that outputs may have relative to their scale, in place of what is derived.",
    ),
)

_WRITING = (
    click.option(
        "--to", "-df", "--dstFramework", "to", metavar="FORMAT", help="Target format; else by suffix."
    ),
    click.option(
        "--from",
        "-sf",
        "--srcFramework",
        "source_format",
        metavar="FORMAT",
        help="Source format; else by content.",
    ),
    *_READING,
    click.option(
        "--rename",
        multiple=True,
        metavar="OLD=NEW,...",
        callback=_names,
        help="Other names for inputs and outputs.",
    ),
    click.option(
        "--labels", type=click.Path(), metavar="FILE", help="TFLite, ONNX: class labels, one on each line."
    ),
    click.option("--opset", type=int, help="ONNX, ORT: the operator set to write."),
    click.option("--ir-version", type=int, help="ONNX: the version of the file format to write."),
    click.option(
        "--external-data",
        is_flag=True,
        default=None,
        help="ONNX, MNN: weights beside the file (TARGET.data, TARGET.weight), also below 2 GB.",
    ),
    click.option(
        "--binary",
        is_flag=True,
        default=None,
        help="NCNN: layers in binary; inputs and outputs then go by numbers.",
    ),
    click.option(
        "--ort-style",
        "style",
        type=click.Choice(["fixed", "runtime"]),
        help="ORT: optimizations in the file (fixed, the default), or saved in it for NNAPI and CoreML.",
    ),
    click.option(
        "--ort-cpu",
        "cpu",
        type=click.Choice(["this", "any"]),
        help="ORT: as fast as can be on CPUs like this one (the default of fixed), or a file for any CPU.",
    ),
    click.option(
        "--ort-types",
        "types",
        is_flag=True,
        default=None,
        help="ORT: element types in the list of operators.",
    ),
    click.option(
        "--io-layout",
        type=click.Choice(["source", "target"]),
        default="source",
        show_default=True,
        help="Order of axes of inputs and outputs: the source's, or that of the target's operators.",
    ),
    click.option(
        "--precision",
        type=click.Choice(["fp16", "int8", "int4"]),
        help="fp16 (TFLite, ONNX, NCNN, MNN), int8, int4 (MNN): float32 weights in fewer bits, widened when "
        "the file is loaded.",
    ),
    click.option("--no-verify", is_flag=True, help="Write the target and do not run it."),
    click.option(
        "--seed", default=0, type=click.IntRange(0), show_default=True, help="For inputs that are generated."
    ),
    click.option("--explain", is_flag=True, help="Show what each pass did, and why it did not."),
)


def _listed(context: click.Context, option: click.Parameter, texts: Sequence[str]) -> list[str] | None:
    return list(texts) or None


def _example(*names: str) -> Callable[[F], F]:
    return click.option(
        *names,
        "examples",
        multiple=True,
        metavar="[NAME=]EXTENTS[:TYPE]",
        callback=_listed,
        help="PyTorch: an input of a module (1,3,224,224 or ids=batch,128:i64; a name is an open extent, @N "
        "what to trace it with; NAME:=VALUE is a number); repeatable.",
    )


def examples(command: F) -> F:
    """The option with examples of what a module takes."""
    return _example("--input", "--example")(command)


def only_examples(command: F) -> F:
    """The same, for a command whose ``--input`` is something else."""
    return _example("--example")(command)


def reading(command: F) -> F:
    """The options of a command that reads a model: those of the parsers, and ``fix_dims``."""
    return _all(_READING, command)


def judging(command: F) -> F:
    """How a target is judged, and on what."""
    return _all(_JUDGING, command)


def extents(command: F) -> F:
    """The option with numbers for open extents alone."""
    return _READING[-1](command)


def writing(command: F) -> F:
    """The options of a command that writes a model, those for reading the source included."""
    return _all(_WRITING, command)


_REPORTING = (
    click.option(
        "--report",
        "page",
        type=click.Path(),
        metavar="FILE.html",
        help="Write a page to look at, with pictures.",
    ),
    click.option("--junit", type=click.Path(), metavar="FILE.xml", help="Write the verdict as JUnit's XML."),
)


def reporting(command: F) -> F:
    """The options of a command that writes reports."""
    return _all(_REPORTING, command)


def given(**options: Any) -> dict[str, Any]:
    """The options that were given."""
    return {name: value for name, value in options.items() if value is not None}


def _all(options: Sequence[Callable[[F], F]], command: F) -> F:
    for option in reversed(options):
        command = option(command)
    return command
