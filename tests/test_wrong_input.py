"""Wrong input: one clear error with file, line, what was found and expected; status 2; no traceback."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from conftest import MACHINE, TINY

from perfsim import MissingExtraError, ShapeError, from_torch
from perfsim.network.layout import Slice

HEAD = "name: n\ninput: [3, 8, 8]\nlayers:\n"


def layers(*lines: str) -> str:
    return HEAD + "".join(f"  - {line}\n" for line in lines)


CONV = "conv: {channels: 4, kernel: 3}"

# name -> (the network's file, what the one error line must contain)
NETWORKS = {
    "empty file": ("", ["net.yaml:1", "an empty file"]),
    "a list": ("- a\n- b\n", ["net.yaml:1", "keys and values"]),
    "broken YAML": ("name: n\nlayers: [1, 2\nx: }", ["net.yaml:3", "not valid YAML"]),
    "tab": ("name: n\n\tinput: 3\n", ["net.yaml:2", "a tab"]),
    "what others call it": (
        layers("dense: {units: 4}"),
        ["net.yaml:4", "did you mean 'fully_connected'?"],
    ),
    "what others call an attribute": (
        layers("conv: {filters: 4, kernel: 3}"),
        ["net.yaml:4", "unknown key 'filters'", "did you mean 'channels'?"],
    ),
    "what others call an activation": (
        layers("conv: {channels: 4, kernel: 3, activation: swish}"),
        ["net.yaml:4", "'swish'", "did you mean 'silu'?"],
    ),
    "block_input outside a repeat": (
        layers("relu: {inputs: [block_input]}"),
        ["net.yaml:4", "no layer is named 'block_input'"],
    ),
    "control character": ("name: n\x07\n", ["net.yaml:1", "U+0007"]),
    "two documents": (layers(CONV) + "---\nname: m\n", ["net.yaml:5", "second document"]),
    "repeated key": ("name: n\nname: m\n", ["net.yaml:2", "'name' is repeated", "line 1"]),
    "repeated attribute": (
        layers("conv: {channels: 4, kernel: 3, kernel: 5}"),
        ["net.yaml:4", "'kernel' is repeated"],
    ),
    "key that is a number": ("1: 2\n", ["net.yaml:1", "unknown key '1'"]),
    "key that is a fraction": ("1.5: 2\n", ["net.yaml:1", "key must be text"]),
    "tag": ("name: !!python/name:os.system x\n", ["net.yaml:1", "tag"]),
    "misspelt key": (
        "name: n\ninput: [3, 8, 8]\nlayrs: []\n",
        ["net.yaml:3", "unknown key 'layrs'", "did you mean 'layers'?"],
    ),
    "misspelt operator": (
        layers("cnov: {channels: 4, kernel: 3}"),
        ["net.yaml:4", "unknown operator 'cnov'", "did you mean 'conv'?"],
    ),
    "misspelt attribute": (
        layers("conv: {channels: 4, kernal: 3}"),
        ["net.yaml:4", "layers[0].conv", "unknown key 'kernal'", "did you mean 'kernel'?"],
    ),
    "attribute of another operator": (
        layers("max_pool: {kernel: 2, channels: 3}"),
        ["net.yaml:4", "unknown key 'channels'"],
    ),
    "missing attribute": (layers("conv: {channels: 4}"), ["net.yaml:4", "'kernel' is missing"]),
    "missing input": ("name: n\nlayers: []\n", ["net.yaml", "'input' is missing"]),
    "missing layers": ("name: n\ninput: [3, 8, 8]\n", ["net.yaml", "'layers' is missing"]),
    "no layers": ("input: [3, 8, 8]\nlayers: []\n", ["net.yaml:2", "no layers"]),
    "layers no list": ("input: [3, 8, 8]\nlayers: 5\n", ["net.yaml:2", "found 5", "a list"]),
    "layer no mapping": (layers("conv"), ["net.yaml:4", "found 'conv'", "one operator"]),
    "attributes beside the operator": (
        HEAD + "  - conv:\n    channels: 4\n    kernel: 3\n",
        ["net.yaml:5", "the keys conv, channels, kernel", "one operator with its attributes"],
    ),
    "kernel 0": (
        layers("conv: {channels: 4, kernel: 0}"),
        ["net.yaml:4", "layers[0].conv.kernel", "found 0", "at least 1"],
    ),
    "kernel text": (layers("conv: {channels: 4, kernel: big}"), ["net.yaml:4", "found 'big'"]),
    "kernel NaN": (layers("conv: {channels: 4, kernel: .nan}"), ["net.yaml:4", "found nan"]),
    "kernel for three axes": (
        layers("conv: {channels: 4, kernel: [3, 3, 3]}"),
        ["net.yaml:4", "3 numbers", "2 for 2 spatial axes"],
    ),
    "negative channels": (
        layers("conv: {channels: -4, kernel: 3}"),
        ["net.yaml:4", "found -4", "at least 1"],
    ),
    "fraction of a channel": (
        layers("conv: {channels: 4.5, kernel: 3}"),
        ["net.yaml:4", "found 4.5", "a whole number"],
    ),
    "a boolean for a number": (
        layers("conv: {channels: yes, kernel: 3}"),
        ["net.yaml:4", "found 'yes'", "a whole number"],
    ),
    "true for a number": (
        layers("conv: {channels: true, kernel: 3}"),
        ["net.yaml:4", "found true", "a whole number"],
    ),
    "misspelt padding": (
        layers("conv: {channels: 4, kernel: 3, padding: vaild}"),
        ["net.yaml:4", "'vaild'", "did you mean 'valid'?"],
    ),
    "misspelt activation": (
        layers("conv: {channels: 4, kernel: 3, activation: rellu}"),
        ["net.yaml:4", "'rellu'", "did you mean 'relu'?"],
    ),
    "kernel larger than the padded input": (
        layers("conv: {channels: 4, kernel: 11, padding: 1}"),
        ["net.yaml:4", "larger than the padded input", "an input of 8 with padding 1"],
    ),
    "groups": (
        layers("conv: {channels: 4, kernel: 3, groups: 2}"),
        ["net.yaml:4", "2 groups do not divide the 3 input channels", "found groups 2"],
    ),
    "add of unequal shapes": (
        layers(
            "conv: {name: a, channels: 4, kernel: 3}",
            "conv: {name: b, channels: 8, kernel: 3}",
            "add: {inputs: [a, b]}",
        ),
        ["net.yaml:6", "1x4x8x8 and 1x8x8x8", "equal shapes"],
    ),
    "concat of unequal shapes": (
        layers(
            "conv: {name: a, channels: 4, kernel: 3}",
            "conv: {name: b, channels: 4, kernel: 3, stride: 2}",
            "concat: {inputs: [a, b]}",
        ),
        ["net.yaml:6", "1x4x8x8 and 1x4x4x4", "equal but for the channels"],
    ),
    "add of one": (layers(CONV, "add: {}"), ["net.yaml:5", "found 1 input", "expected 2 inputs"]),
    "conv of two": (
        layers("conv: {channels: 4, kernel: 3, inputs: [input, input]}"),
        ["net.yaml:4", "found 2 inputs", "expected 1"],
    ),
    "convolution of a vector": (
        layers("flatten: {}", "conv: {channels: 4, kernel: 3}"),
        ["net.yaml:5", "1x192", "batch x channels x space"],
    ),
    "unknown bits of a layer": (
        layers("conv: {channels: 4, kernel: 3, precision: {weights: 4}}"),
        ["net.yaml:4", "did you mean 'weight'? expected one of feature_map, weight"],
    ),
    "unknown input": (
        layers("conv: {name: stem, channels: 4, kernel: 3}", "relu: {inputs: [stm]}"),
        ["net.yaml:5", "no layer is named 'stm'", "did you mean 'stem'?"],
    ),
    "a repeated layer without its round": (
        HEAD + "  - repeat: 2\n    layers:\n      - relu: {name: a}\n  - relu: {inputs: [a]}\n",
        ["net.yaml:7", "no layer is named 'a'", "did you mean 'a.1'?"],
    ),
    "cycle": (
        layers(
            "add: {name: a, inputs: [input, c]}",
            "relu: {name: b, inputs: [a]}",
            "relu: {name: c, inputs: [b]}",
        ),
        ["net.yaml:4", "cycle", "a -> b -> c -> a"],
    ),
    "reads itself": (layers("relu: {name: a, inputs: [a]}"), ["net.yaml:4", "a -> a"]),
    "name used twice": (
        layers("relu: {name: a}", "relu: {name: a}"),
        ["net.yaml:5", "'a' is used twice", "line 4"],
    ),
    "reserved name": (layers("relu: {name: previous}"), ["net.yaml:4", "'previous' is reserved"]),
    "unprintable name": (layers('relu: {name: "a\\nb"}'), ["net.yaml:4", "printed on one line"]),
    "repeat 0": (
        HEAD + "  - repeat: 0\n    layers: [relu: {}]\n",
        ["net.yaml:4", "found 0", "at least 1"],
    ),
    "repeat without layers": (HEAD + "  - repeat: 2\n", ["net.yaml:4", "needs the key 'layers'"]),
    "repeat with another key": (
        HEAD + "  - repeat: 2\n    layer: [relu: {}]\n",
        ["net.yaml:5", "unknown key 'layer'", "did you mean 'layers'?"],
    ),
    "repeat bomb": (
        HEAD
        + "  - repeat: 100000\n    layers:\n      - repeat: 100000\n        layers: [relu: {}]\n",
        ["net.yaml", "more than 100,000 layers"],
    ),
    "alias bomb": (
        "a: &a [x, x, x, x, x, x, x, x, x, x]\n"
        + "".join(
            f"{b}: &{b} [{', '.join([f'*{a}'] * 10)}]\n"
            for a, b in zip("abcdefgh", "bcdefghi", strict=True)
        ),
        ["net.yaml:7", "aliases"],
    ),
    "recursive alias": ("a: &a [*a]\n", ["net.yaml:1", "alias *a"]),
    "deep nesting": ("a: " + "[" * 100_000 + "]" * 100_000, ["net.yaml:1", "levels deep"]),
    "deep block nesting": ("- " * 100_000 + "x", ["net.yaml:1", "levels deep"]),
    "counts beyond 64 bits": (
        "input: [3, 8, 8]\nlayers:\n  - fully_connected: {units: 9999999999999999}\n",
        ["net.yaml:3", "fully_connected", "64-bit"],
    ),
    "a number with 5000 digits": (f"batch: {'9' * 5000}\n", ["net.yaml:1", "5000 digits"]),
    "sums beyond 64 bits": (
        "input: [3, 8, 8]\nbatch: 1000000000000\nlayers:\n"
        + "  - repeat: 100\n    layers: [conv: {channels: 3, kernel: 1, stride: 1}]\n",
        ["64-bit"],
    ),
    "a hexadecimal number with 5000 digits": (
        f"name: 0x{'f' * 5000}\n",
        ["net.yaml:1", "5002 digits"],
    ),
    "a shape beyond 64 bits": (
        f"input: [{'9' * 90}, {'9' * 90}, 4]\nlayers: [flatten: {{}}, conv: {{channels: 1, kernel: 1}}]\n",
        ["net.yaml: input", "about 10^180 elements", "64-bit"],
    ),
    "an inputs bomb": (
        HEAD
        + "  - repeat: 5000\n    layers:\n      - add: {inputs: ["
        + ", ".join(["input"] * 2000)
        + "]}\n",
        ["net.yaml:6", "more than 500,000 inputs"],
    ),
    "zero width": ("input: [3, 8, 8]\nwidth: 0\nlayers: [relu: {}]\n", ["net.yaml:2", "above 0"]),
    "NaN width": ("input: [3, 8, 8]\nwidth: .nan\nlayers: [relu: {}]\n", ["net.yaml:2", "nan"]),
    "input of nothing": ("input: []\nlayers: [relu: {}]\n", ["net.yaml:1", "at least 1 entries"]),
    "input with a zero": (
        "input: [3, 0, 8]\nlayers: [relu: {}]\n",
        ["net.yaml:1", "input[1]", "found 0", "at least 1"],
    ),
    "resolution of a vector": (
        "input: [3]\nresolution: 8\nlayers: [relu: {}]\n",
        ["net.yaml:2", "no spatial axes"],
    ),
    "0 bits": (
        "input: [3, 8, 8]\nprecision: {weight: 0}\nlayers: [relu: {}]\n",
        ["net.yaml:2", "precision.weight", "found 0"],
    ),
    "precision of nothing known": (
        "input: [3, 8, 8]\nprecision: {wieght: 4}\nlayers: [relu: {}]\n",
        ["net.yaml:2", "unknown key 'wieght'", "did you mean 'weight'?"],
    ),
}

MACHINES = {
    "missing unit": (MACHINE.replace("64 KB", "64"), ["hw.yaml:2", "found 64 without a unit"]),
    "unit misspelt": (
        MACHINE.replace("1 GB/s", "1 GBs"),
        ["hw.yaml:3", "'1 GBs'", "a bandwidth such as '1 GB/s'", "did you mean '1 GB/s'?"],
    ),
    "a size for a bandwidth": (
        MACHINE.replace("1 GB/s", "1 MB"),
        ["hw.yaml:3", "'1 MB', which is a size", "a bandwidth"],
    ),
    "a bandwidth for a size": (
        MACHINE.replace("64 KB", "64 KB/s"),
        ["hw.yaml:2", "which is a bandwidth", "a size"],
    ),
    "words": (MACHINE.replace("1 GB/s", "1 GB per second"), ["hw.yaml:3", "'1 GB per second'"]),
    "zero bandwidth": (MACHINE.replace("1 GB/s", "0 GB/s"), ["hw.yaml:3", "above zero"]),
    "negative bandwidth": (MACHINE.replace("1 GB/s", "-1 GB/s"), ["hw.yaml:3", "above zero"]),
    "NaN": (MACHINE.replace("1 GB/s", ".nan"), ["hw.yaml:3", "found nan"]),
    "NaN with unit": (MACHINE.replace("1 GB/s", "nan GB/s"), ["hw.yaml:3", "a finite number"]),
    "infinite": (MACHINE.replace("1 GB/s", "1e999 GB/s"), ["hw.yaml:3", "1 to 1e24"]),
    "too many digits in the exponent": (
        MACHINE.replace("1 GB/s", "1e99999999 GB/s"),
        ["hw.yaml:3", "a bandwidth"],
    ),
    "a number with 5000 digits": (
        MACHINE.replace("64 KB", f"1.{'0' * 5000} MB"),
        ["hw.yaml:2", "sram", "a size such as"],
    ),
    "an unprintable name": (
        MACHINE.replace("name: small", 'name: "a\\e[31m"'),
        ["hw.yaml:1", "printed on one line"],
    ),
    "an unprintable description": (
        MACHINE + 'description: "a\\nb"\n',
        ["hw.yaml:6", "description", "printed on one line"],
    ),
    "part of a byte": (MACHINE.replace("64 KB", "0.3 B"), ["hw.yaml:2", "whole number of bytes"]),
    "misspelt key": (
        MACHINE.replace("ddr_bandwidth", "ddr_bandwith"),
        ["hw.yaml:3", "unknown key 'ddr_bandwith'", "did you mean 'ddr_bandwidth'?"],
    ),
    "missing key": (
        MACHINE.replace("vector: 10 GFLOPS\n", ""),
        ["hw.yaml", "the key 'vector' is missing", "10 GFLOPS"],
    ),
    "unknown placement": (
        MACHINE + "placement: livenes\n",
        ["hw.yaml:6", "unknown placement 'livenes'", "did you mean 'liveness'?"],
    ),
    "unknown timing": (
        MACHINE + "timing: seriel\n",
        ["hw.yaml:6", "unknown timing 'seriel'", "did you mean 'serial'?"],
    ),
}


def one_error(run, *fragments: str) -> None:
    assert run.status == 2
    assert run.out == ""
    assert "Traceback" not in run.err
    assert run.err.startswith("error: ")
    assert run.err.count("\n") == 1, run.err
    for fragment in fragments:
        assert fragment in run.err


@pytest.mark.parametrize("name", NETWORKS)
def test_a_wrong_network_gives_one_error(name, perfsim_cli, write):
    text, fragments = NETWORKS[name]
    one_error(perfsim_cli("run", write("net.yaml", text), "--hw", "1MB_1GBs_1TF"), *fragments)


@pytest.mark.parametrize("name", MACHINES)
def test_a_wrong_machine_gives_one_error(name, perfsim_cli, write):
    text, fragments = MACHINES[name]
    one_error(perfsim_cli("run", "mobilenet", "--hw", write("hw.yaml", text)), *fragments)


@pytest.mark.parametrize("name", MACHINES)
def test_check_finds_what_is_wrong_with_a_machine(name, perfsim_cli, write):
    text, fragments = MACHINES[name]
    one_error(perfsim_cli("check", write("hw.yaml", text)), *fragments)


COUNTS = "layer,op,input_elements,output_elements,weights,macs\n1,conv,10,20,30,40\n"
TABLES = {
    "empty": ("", ["net.csv", "an empty file"]),
    "no rows": (COUNTS.splitlines()[0] + "\n", ["net.csv", "a header and no rows"]),
    "missing column": ("layer,op,input_elements\n1,conv,2\n", ["net.csv:1", "'output_elements'"]),
    "misspelt column": (
        COUNTS.replace("weights", "wieghts"),
        ["net.csv:1", "unknown column 'wieghts'", "did you mean 'weights'?"],
    ),
    "repeated column": (COUNTS.replace("macs", "macs,macs"), ["net.csv:1", "is repeated"]),
    "cells missing": (COUNTS + "2,conv,20,30\n", ["net.csv:3", "found 4 cells", "expected 6"]),
    "a number that is none": (
        COUNTS.replace("40", "4o"),
        ["net.csv:2", "macs", "'4o'", "a whole number"],
    ),
    "a negative number": (COUNTS.replace("40", "-40"), ["net.csv:2", "macs", "'-40'"]),
    "a fraction": (COUNTS.replace("40", "4.0"), ["net.csv:2", "macs", "'4.0'"]),
    "no input": (COUNTS.replace("10", "0"), ["net.csv:2", "input_elements", "at least 1"]),
    "layers out of order": (COUNTS.replace("1,conv", "2,conv"), ["net.csv:2", "'2'", "expected 1"]),
    "a gap between layers": (
        COUNTS + "2,conv,21,30,1,1\n",
        ["net.csv:3", "wrote 20 elements", "input_elements 21"],
    ),
    "unknown operator": (
        COUNTS.replace("conv", "cnov"),
        ["net.csv:2", "unknown operator 'cnov'", "did you mean 'conv'?"],
    ),
    "an operator whose cost the elements do not say": (
        COUNTS + "2,layer_norm,20,20,0,0\n",
        ["net.csv:3", "what 'layer_norm' costs does not follow", "a column vector_ops"],
    ),
    "windows that do not come out even": (
        COUNTS + "2,avg_pool,20,7,0,0\n",
        ["net.csv:3", "what 'avg_pool' costs does not follow", "a column vector_ops"],
    ),
    "counts beyond 64 bits": (COUNTS.replace("40", "9" * 30), ["net.csv:2", "64-bit"]),
    "a view that changes its size": (
        COUNTS + "2,flatten,20,12,0,0\n",
        ["net.csv:3", "'flatten'", "found 12 of 20 elements", "expected 20"],
    ),
    "MACs on the vector unit": (
        COUNTS + "2,softmax,20,20,0,50\n",
        ["net.csv:3", "'softmax' does not run on the matrix unit", "found 50 MACs"],
    ),
    "an unprintable name": (
        COUNTS.replace("macs\n", "macs,name\n").replace("40\n", '40,"a\x1b[31m"\n'),
        ["net.csv:2", "printed on one line"],
    ),
    "an open quote": (COUNTS + '2,"conv,20,30,1,1\n', ["net.csv:3", "CSV"]),
}


@pytest.mark.parametrize("name", TABLES)
def test_a_wrong_layer_table_gives_one_error(name, perfsim_cli, write):
    text, fragments = TABLES[name]
    one_error(perfsim_cli("run", write("net.csv", text), "--hw", "1MB_1GBs_1TF"), *fragments)


@pytest.mark.parametrize("name", ["net.yaml", "net.csv", "hw.yaml"])
@pytest.mark.parametrize(
    ("content", "fragment"),
    [(b"\x89PNG\r\n\x1a\n\x00\x00", "byte 0x89"), (b"name: n\0\n", "NUL"), (None, "directory")],
)
def test_binary_files_and_directories(name, content, fragment, perfsim_cli, tmp_path):
    path = tmp_path / name
    if content is None:
        path.mkdir()
    else:
        path.write_bytes(content)
    is_machine = name == "hw.yaml"
    model = "mobilenet" if is_machine else str(path)
    machine = str(path) if is_machine else "1MB_1GBs_1TF"
    one_error(perfsim_cli("run", model, "--hw", machine), name, fragment)


def test_missing_files_name_the_nearest(perfsim_cli):
    one_error(
        perfsim_cli("run", "mobilnet_v1", "--hw", "1MB_1GBs_1TF"),
        "mobilnet_v1: no such file",
        "did you mean 'mobilenet_v1'?",
    )
    one_error(
        perfsim_cli("run", "mobilenet", "--hw", "1MB_1GB_1TF.yaml"),
        "1MB_1GB_1TF.yaml: no such file",
        "did you mean '1MB_1GBs_1TF'?",
    )
    one_error(perfsim_cli("run", "folder/mobilenet.yaml", "--hw", "1MB_1GBs_1TF"), "no such file")
    one_error(perfsim_cli("run", "x" * 5000, "--hw", "1MB_1GBs_1TF"), "too long")


def test_a_format_that_cannot_be_read_says_so(perfsim_cli, write):
    one_error(perfsim_cli("run", write("net.h5", "x"), "--hw", "1MB_1GBs_1TF"), "net.h5", "'.h5'")


def test_an_unreadable_file(perfsim_cli, write, monkeypatch):
    def denied(path: Path) -> bytes:
        raise PermissionError(13, "Permission denied")

    path = write("net.yaml", TINY)
    monkeypatch.setattr(Path, "read_bytes", denied)
    one_error(perfsim_cli("run", path, "--hw", "1MB_1GBs_1TF"), "net.yaml: cannot be read: Perm")


SETTINGS = {
    "widht=0.5": ["--set widht=0.5", "unknown key 'widht'", "did you mean 'width'?"],
    "width": ["--set", "'width'", "KEY=VALUE"],
    "width=": ["--set", "KEY=VALUE"],
    "width=wide": ["--set width=wide", "found 'wide'", "a number"],
    "width=[": ["--set width=[", "found '['"],
    "batch=0": ["--set batch=0", "at least 1"],
    "batch=1.5": ["--set batch=1.5", "a whole number"],
    "precision.weight=0": ["--set precision.weight=0", "at least 1"],
    "precision=0": ["--set precision=0", "found 0, expected a number of at least 1"],
    "precision.wight=4": ["--set precision.wight=4", "did you mean 'weight'?"],
    "name.first=x": ["--set name.first=x", "leads nowhere"],
    "layers.99.conv.kernel=3": ["--set layers.99.conv.kernel=3", "leads nowhere"],
    "hw.sram=1": ["--set hw.sram=1", "without a unit"],
    "hw.sram=1 GB/s": ["--set hw.sram=1 GB/s", "which is a bandwidth"],
    "hw.ddr_bandwith=1 GB/s": ["--set hw.ddr_bandwith", "did you mean 'ddr_bandwidth'?"],
    "hw.placement=none": ["--set hw.placement=none", "unknown placement 'none'"],
    "\udcff=1": ["--set", "KEY=VALUE"],
    "batch=0x" + "f" * 5000: ["--set batch=0xfff", "expected a value as in"],
    "hw.name=": ["KEY=VALUE"],
    'hw.name="a\\nb"': ["printed on one line"],
    "hw=3": ["--set hw=3", "such as hw.sram"],
    "stem.channels=32": ["--set stem.channels=32", "unknown key 'stem'"],
    "width=1e9": ["--set width=1e9: width: ", "at most 1000"],
}


@pytest.mark.parametrize("setting", SETTINGS)
def test_a_wrong_setting_names_itself(setting, perfsim_cli):
    run = perfsim_cli("run", "mobilenet", "--hw", "1MB_1GBs_1TF", "--set", setting)
    one_error(run, *SETTINGS[setting])


def test_a_layer_table_has_no_width(perfsim_cli):
    run = perfsim_cli("run", "mobilenet_printed", "--hw", "1MB_1GBs_1TF", "--set", "width=0.5")
    one_error(run, "--set width=0.5", "has counts, not shapes")


RUN = ("run", "mobilenet", "--hw", "1MB_1GBs_1TF")
USAGE = {
    "unknown command": (("rnu",), ["unknown command 'rnu'", "did you mean 'run'?"]),
    "no machine": (("run", "mobilenet"), ["--hw"]),
    "no model": (("run", "--hw", "1MB_1GBs_1TF"), ["MODEL"]),
    "unknown option": ((*RUN, "--formt", "csv"), ["--formt", "did you mean '--format'?"]),
    "unknown format": ((*RUN, "--format", "xml"), ["xml", "csv"]),
    "two machines": ((*RUN, "--hw", "1MB_2GBs_2TF"), ["2 machines", "compare"]),
    "unknown placement": ((*RUN, "--placement", "acumulate"), ["did you mean 'accumulate'?"]),
    "unknown timing": ((*RUN, "--timing", "overlapp"), ["did you mean 'overlap'?"]),
    "limit without unit": ((*RUN, "--max-time", "5"), ["--max-time", "a time such as '5 ms'"]),
    "limit of 0": ((*RUN, "--max-time", "0ms"), ["--max-time", "above zero"]),
    "limit beyond all time": ((*RUN, "--max-time", "1e999s"), ["--max-time", "to 1e9 s"]),
    "limit below all time": ((*RUN, "--max-time", "1e-999s"), ["--max-time", "1e-12 s"]),
    "layer with 5000 digits": (("explain", *RUN[1:], "--layer", "1" * 5000), ["no layer"]),
    "unknown layer": (
        ("explain", *RUN[1:], "--layer", "pw_25"),
        ["no layer 'pw_25'", "did you mean 'pw25'?"],
    ),
    "layer out of range": (("explain", *RUN[1:], "--layer", "31"), ["from 1 to 30"]),
    "unknown schema": (("schema", "machine"), ["no schema 'machine'", "network, hardware"]),
    "output folder": ((*RUN, "-o", "no/such/x.csv"), ["x.csv", "the folder 'no/such' does not"]),
    "output suffix": ((*RUN, "-o", "x.cvs"), ["x.cvs", "'.cvs'", "did you mean '.csv'?"]),
    "output without suffix": ((*RUN, "-o", "x"), ["x", "one of .csv, .json, .parquet"]),
}


@pytest.mark.parametrize("name", USAGE)
def test_wrong_usage_gives_one_error(name, perfsim_cli):
    arguments, fragments = USAGE[name]
    one_error(perfsim_cli(*arguments), *fragments)


def test_an_output_that_is_a_directory(perfsim_cli, tmp_path):
    (tmp_path / "x.csv").mkdir()
    one_error(perfsim_cli(*RUN, "-o", "x.csv"), "x.csv", "is a directory")


def test_an_output_that_would_overwrite_its_input(perfsim_cli, write):
    write("net.csv", COUNTS)
    run = perfsim_cli("run", "net.csv", "--hw", "1MB_1GBs_1TF", "-o", "./net.csv")
    one_error(run, "would overwrite the input")


def test_an_output_where_nothing_may_be_made(perfsim_cli):
    one_error(perfsim_cli(*RUN, "-o", "/proc/x.csv"), "/proc/x.csv", "cannot be written")


def test_one_bad_output_leaves_no_other_behind(perfsim_cli, tmp_path):
    one_error(perfsim_cli(*RUN, "-o", "good.csv", "-o", "missing/bad.csv"), "missing")
    assert list(tmp_path.iterdir()) == []


def test_a_failing_write_leaves_nothing_behind(perfsim_cli, tmp_path, monkeypatch):
    from perfsim.report import files

    def full(sheet: object) -> bytes:
        raise OSError(28, "No space left on device")

    monkeypatch.setitem(files.WRITERS, ".json", full)
    one_error(perfsim_cli(*RUN, "-o", "a.csv", "-o", "b.json"), "b.json", "No space left")
    assert list(tmp_path.iterdir()) == []


def test_a_batch_in_the_input_s_shape_is_warned_about(perfsim_cli, write):
    path = write("n.yaml", layers(CONV).replace("[3, 8, 8]", "[1, 3, 8, 8]"))
    for arguments in (("run", path, "--hw", "1MB_1GBs_1TF"), ("check", path)):
        run = perfsim_cli(*arguments)
        assert run.status == 0
        assert run.err.startswith(f"warning: {path}:2: input [1, 3, 8, 8] is read as 1 channel")


def test_check_reports_every_problem_of_a_machine(perfsim_cli, write):
    run = perfsim_cli("check", write("m.yaml", "name: m\nsram: 1 GB/s\nmatrx: 1 TFLOPS\n"))
    assert [line.split(": ", 2)[-1][:40] for line in run.err.splitlines()] == [
        "matrx: unknown key 'matrx'; did you mean",
        "sram: found '1 GB/s', which is a bandwid",
        "the keys 'ddr_bandwidth' (to external me",
    ]


def test_check_knows_bundled_names_and_formats(perfsim_cli, write):
    assert perfsim_cli("check", "mobilenet", "1MB_1GBs_1TF").status == 0
    one_error(perfsim_cli("check", write("net.h5", "x")), "net.h5", "'.h5'")
    one_error(perfsim_cli("run", "", "--hw", "1MB_1GBs_1TF"), "found ''", "a path")


def test_check_reports_every_file(perfsim_cli, write):
    good, bad = write("good.yaml", TINY), write("bad.yaml", MACHINE.replace("1 GB/s", "1 GBs"))
    run = perfsim_cli("check", good, bad, "gone.yaml", write("odd.yaml", "a: 1\n"))
    assert run.status == 2
    assert run.out == f"{good}: ok, network 'tiny': 9 layers\n"
    errors = run.err.splitlines()
    assert len(errors) == 3
    assert "bad.yaml:3" in errors[0]
    assert "gone.yaml: no such file" in errors[1]
    assert "neither a network nor a machine" in errors[2]


def test_without_pytorch_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'perfsim\[torch\]', or in a clone"):
        from_torch(None, [])


def test_what_python_warns_of_in_an_expression_is_not_shown(load):
    """`4if` is a SyntaxWarning, which the tests turn into an error."""
    network = load(layers("conv: {channels: $4if 1 else 2, kernel: 3}"))
    assert network.tensors[network.outputs[0]].shape == (1, 4, 8, 8)


def test_a_slice_of_an_axis_of_any_size_has_a_shape():
    """Shapes are checked against 2^53 later, and files may hold any number."""
    assert Slice(axis=1, start=1, step=2).output_shapes(((1, 10**22),)) == ((1, 10**22 // 2),)
    assert Slice(axis=1, start=-3, stop=-1).output_shapes(((1, 10**22),)) == ((1, 2),)
    with pytest.raises(ShapeError, match="nothing is left"):
        Slice(axis=1, start=5, stop=2).output_shapes(((1, 10**22),))


@pytest.mark.parametrize("key", ["file", "allow_unpriced", "hw.file", "self"])
def test_settings_that_are_names_of_arguments(perfsim_cli, key):
    run = perfsim_cli("run", "mobilenet", "--hw", "1MB_1GBs_1TF", "--set", f"{key}=3")
    assert run.status == 2
    assert run.err.count("\n") == 1
    assert f"--set {key}=3" in run.err
