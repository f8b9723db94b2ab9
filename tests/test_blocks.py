"""Blocks, expressions and conditions in a network's file."""

from __future__ import annotations

from contextlib import suppress
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_wrong_input import one_error

from perfsim import PerfsimError, lower
from perfsim.errors import InvalidValueError, UnknownNameError
from perfsim.network.expression import evaluate, round8
from perfsim.network.work import total

NAMES = {
    "half": 0.5,
    "nan": float("nan"),
    "a": 6,
    "b": 4,
    "width": Fraction(35, 100),
    "same": True,
    "act": "relu",
}


def worked_out(text: str) -> object:
    return evaluate(text, NAMES.__getitem__, lambda: list(NAMES))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("$a", 6),
        ("$(a * b)", 24),
        ("$(a - b * 2)", -2),
        ("$((a - b) * 2)", 4),
        ("$(a / b)", Fraction(3, 2)),
        ("$(a / 2)", 3),
        ("$(a // b)", 1),
        ("$(a % b)", 2),
        ("$(-a + 7)", 1),
        ("$(80 * 0.35)", 28),
        ("$(80 * width)", 28),
        ("$floor(a / b)", 1),
        ("$ceil(a / b)", 2),
        ("$max(a, b, 9)", 9),
        ("$min(a, b)", 4),
        ("$round8(24 * 0.35)", 8),
        ("$(a == 6)", True),
        ("$(a != 6)", False),
        ("$(a < b or same)", True),
        ("$(a > b and not same)", False),
        ("$(a if same else b)", 6),
        ("$(a >= 6 and a <= 6)", True),
        ("$same", True),
        ("$(a * half)", 3),
        ("$ceil(b * 1.1)", 5),
        ("$act", "relu"),
        ("$('silu' if a > b else act)", "silu"),
        ("$( a )", 6),
    ],
)
def test_expressions(text, value):
    result = worked_out(text)
    assert result == value
    assert type(result) is type(value)


@pytest.mark.parametrize(
    "text",
    [
        "$(nan + 1)",
        "$",
        "$(",
        "$a b",
        "$(a / 0)",
        "$(a % 0)",
        "$(act * 2)",
        "$(same + 1)",
        "$a.real",
        "$a[0]",
        "$[a]",
        "$(lambda: 1)",
        "$(a ** b)",
        "$(a < b < 3)",
        "$min()",
        "$floor(a, b)",
        "$max(a, key=b)",
        "$(10**30 * 10)",
        "$(1e20 * 1e20)",
        "$" + "(" * 150 + "a" + ")" * 150,
        "$(" + "a + " * 100 + "a)",
        "$(a := 3)",
        "$f'{a}'",
        "$...",
        "$b'x'",
    ],
)
def test_what_is_no_expression(text):
    with pytest.raises(InvalidValueError, match="expression"):
        worked_out(text)


@pytest.mark.parametrize(
    ("text", "nearest"), [("$widht", "width"), ("$(c + aa)", None), ("$rond8(a)", "round8")]
)
def test_unknown_names_and_functions(text, nearest):
    with pytest.raises(UnknownNameError) as caught:
        worked_out(text)
    assert caught.value.nearest == nearest


@given(st.text(max_size=40))
def test_nothing_else_gets_out(text):
    with suppress(PerfsimError):
        worked_out(f"${text}")


@pytest.mark.parametrize(
    ("value", "rounded"),
    # worked by hand: the nearest multiple of 8 (half up), at least 8, and one up when more than 10 % is lost
    [
        (1, 8),
        (8, 8),
        (11, 16),
        (12, 16),
        (16, 16),
        (18, 24),
        (19, 24),
        (20, 24),
        (33.6, 32),
        (36, 40),
        (1792, 1792),
    ],
)
def test_round8(value, rounded):
    assert round8(Fraction(value)) == rounded


FILE = """\
input: [4, 8, 8]
classes: 10
blocks:
  Residual:
    parameters: {channels: null, kernel: 3}
    layers:
      - conv: {name: first, channels: $(channels * 2), kernel: $kernel, bias: false}
      - conv: {name: second, channels: $channels, kernel: 1, bias: false}
      - when: $(input_channels == channels)
        layers:
          - add: {name: sum, inputs: [previous, block_input]}
  Pair:
    parameters: {channels: null, times: 1}
    layers:
      - Residual: {name: one, channels: $channels}
      - repeat: $times
        layers:
          - Residual: {name: more, channels: $channels, kernel: 1}
layers:
  - Residual: {name: start, channels: 4}
  - Pair: {name: pair, channels: 6, times: 2}
  - Pair: {channels: 6, inputs: [pair], times: 0}
  - conv: {name: skip, inputs: [pair.more.1], channels: 6, kernel: 1, bias: false}
  - add: {name: end, inputs: [Pair_1, skip]}
  - fully_connected: {units: $classes, bias: false}
"""


def test_blocks_by_hand(load):
    """Written out by hand: names, what each reads, and the weights."""
    network = load(FILE)
    reads = {node.name: node.inputs for node in network.nodes}
    assert reads == {
        "start.first": ("input",),
        "start.second": ("start.first",),
        "start.sum": ("start.second", "input"),
        "pair.one.first": ("start.sum",),
        "pair.one.second": ("pair.one.first",),  # 4 -> 6 channels: no shortcut
        "pair.more.1.first": ("pair.one.second",),
        "pair.more.1.second": ("pair.more.1.first",),
        "pair.more.1.sum": ("pair.more.1.second", "pair.one.second"),
        "pair.more.2.first": ("pair.more.1.sum",),
        "pair.more.2.second": ("pair.more.2.first",),
        "pair.more.2.sum": ("pair.more.2.second", "pair.more.1.sum"),
        "Pair_1.one.first": ("pair.more.2.sum",),
        "Pair_1.one.second": ("Pair_1.one.first",),
        "Pair_1.one.sum": ("Pair_1.one.second", "pair.more.2.sum"),
        "skip": ("pair.more.1.sum",),
        "end": ("Pair_1.one.sum", "skip"),
        "fully_connected_1": ("end",),
    }
    params = {layer.name: total(layer.params) for layer in lower(network).layers}
    assert params["start.first"] == 8 * 4 * 9
    assert params["pair.one.first"] == 12 * 4 * 9
    assert params["pair.more.2.first"] == 12 * 6
    assert params["fully_connected_1"] == 10 * 6 * 64


def test_a_block_may_be_told_what_to_read(load):
    """By a parameter, in the inputs of a layer and in those of another block."""
    network = load(
        "input: [4, 8, 8]\nblocks:\n"
        "  Inner: {layers: [relu: {name: r}]}\n"
        "  Outer:\n"
        "    parameters: {source: null}\n"
        "    layers:\n"
        "      - sigmoid: {name: s, inputs: [$source]}\n"
        "      - Inner: {name: i, inputs: [$source]}\n"
        "layers:\n"
        "  - tanh: {name: a}\n"
        "  - tanh: {name: b}\n"
        "  - Outer: {name: o, source: a}\n"
    )
    reads = {node.name: node.inputs for node in network.nodes}
    assert reads["o.s"] == reads["o.i.r"] == ("a",)


def test_settings_reach_expressions(load):
    assert lower(load(FILE, classes=3)).layers[-1].output_shapes == ((1, 3),)


def test_a_worked_out_width_is_taken_as_it_is(load):
    text = (
        "input: [3, 8, 8]\nlayers:\n"
        "  - conv: {name: plain, channels: 10, kernel: 1}\n"
        "  - conv: {name: own, channels: $round8(10 * width), kernel: 1}\n"
        "  - conv: {name: fixed, channels: $(10), kernel: 1}\n"
    )
    channels = [node.operator.channels for node in load(text, width=0.5).nodes]
    assert channels == [5, 8, 10]


def changed(old: str, new: str) -> str:
    assert old in FILE
    return FILE.replace(old, new, 1)


WRONG = {
    "a block's name": (changed("Residual:", "residual:"), ["found 'residual'", "CapitalizedWords"]),
    "a missing parameter": (
        changed("Residual: {name: start, channels: 4}", "Residual: {name: start}"),
        ["net.yaml:20", "the parameter 'channels' is missing"],
    ),
    "a misspelt parameter": (
        changed("times: 2}", "tims: 2}"),
        ["net.yaml:21", "unknown key 'tims'", "did you mean 'times'?"],
    ),
    "a misspelt block": (
        changed("- Pair: {name: pair", "- Pare: {name: pair"),
        ["net.yaml:21", "unknown operator 'Pare'", "did you mean 'Pair'?"],
    ),
    "a name in an expression": (
        changed("$(channels * 2)", "$(chanels * 2)"),
        ["net.yaml:7", "unknown name 'chanels'", "did you mean 'channels'?"],
    ),
    "a fraction of a channel": (
        changed("$(channels * 2)", "$(channels / 3)"),
        ["net.yaml:7", "found 4/3", "a whole number"],
    ),
    "a negative kernel": (
        changed("kernel: $kernel", "kernel: $(0 - 1)"),
        ["net.yaml:7", "found -1"],
    ),
    "no condition": (
        changed("$(input_channels == channels)", "$input_channels"),
        ["net.yaml:9", "found 4", "true or false"],
    ),
    "a condition that is no expression": (
        changed("$(input_channels == channels)", "maybe"),
        ["net.yaml:9", "found 'maybe'", "true or false"],
    ),
    "repeated less than never": (
        changed("times: 0", "times: -1"),
        ["net.yaml:16", "found -1", "at least 0"],
    ),
    "a block that uses itself": (
        changed("- Residual: {name: one", "- Pair: {name: one"),
        ["net.yaml:15", "Pair -> Pair"],
    ),
    "two inputs of a block": (
        changed("inputs: [pair], times: 0", "inputs: [pair, skip], times: 0"),
        ["net.yaml:22", "a list of one name"],
    ),
    "an input that comes later": (
        changed("inputs: [pair], times: 0", "inputs: [skip], times: 0"),
        ["net.yaml:22", "no layer is named 'skip'"],
    ),
    "channels that are not known yet": (
        changed(
            "- Residual: {name: start",
            "- relu: {name: r, inputs: [end]}\n  - Residual: {name: start",
        ),
        ["net.yaml:20", "the channels of 'r' are not known yet", "layers that stand above"],
    ),
    "a use named twice": (
        changed("name: pair,", "name: start,"),
        ["net.yaml:21", "'start' is used twice"],
    ),
    "a block without layers": (
        "input: [4, 8, 8]\nblocks: {B: {layers: []}}\nlayers: [B: {}]\n",
        ["net.yaml:2", "at least 1 entries"],
    ),
    "an unknown key of a block": (
        "input: [4, 8, 8]\nblocks: {B: {layer: [relu: {}]}}\nlayers: [B: {}]\n",
        ["net.yaml:2", "unknown key 'layer'", "did you mean 'layers'?"],
    ),
    "classes that the file does not say": (
        changed("classes: 10\n", ""),
        ["net.yaml:24", "does not say 'classes'"],
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_file_gives_one_error(name, perfsim_cli, write):
    text, fragments = WRONG[name]
    one_error(perfsim_cli("run", write("net.yaml", text), "--hw", "1MB_1GBs_1TF"), *fragments)


@pytest.mark.parametrize("setting", ["classes=10", "width=0.5"])
def test_a_setting_that_changes_nothing_is_an_error(setting, perfsim_cli, write):
    path = write("net.yaml", "input: [4, 8, 8]\nlayers: [relu: {}]\n")
    run = perfsim_cli("run", path, "--hw", "1MB_1GBs_1TF", "--set", setting)
    one_error(run, f"--set {setting}", "nothing in this network depends on")


PARTS = """\
input: [8, 4, 4]
blocks:
  Half:
    layers:
      - conv: {name: all, channels: $input_channels, kernel: 1, bias: false}
      - split: {name: cut, parts: [1, $(previous_channels - 1)]}
layers:
  - split: {name: s, parts: 2}
  - Half: {name: h, inputs: [s.2]}
  - conv: {name: a, inputs: [h.cut.2], channels: 3, kernel: 1, bias: false}
  - repeat: 2
    layers:
      - split: {name: c, parts: [1, 2], inputs: [block_input]}
      - conv: {name: b, inputs: [c.2], channels: 3, kernel: 1, bias: false}
  - concat: {inputs: [s.1, h.cut.1, c.1.1, c.2.2, b.1]}
"""


def test_the_parts_of_a_split_are_read_by_their_numbers(load):
    network = load(PARTS)
    shapes = {name: tensor.shape[1] for name, tensor in network.tensors.items()}
    assert [shapes[each] for each in ("s.1", "s.2", "h.cut.2", "c.1.1", "c.2.2")] == [4, 4, 3, 1, 2]
    reads = {node.name: node.inputs for node in network.nodes}
    assert (reads["h.all"], reads["a"]) == (("s.2",), ("h.cut.2",))
    assert (reads["c.1"], reads["c.2"]) == (("a",), ("b.1",))
    assert (reads["b.1"], reads["b.2"]) == (("c.1.2",), ("c.2.2",))
    assert reads["concat_1"] == ("s.1", "h.cut.1", "c.1.1", "c.2.2", "b.1")
    macs = [total(layer.macs) for layer in lower(network).layers if layer.macs]
    assert macs == [16 * each for each in (4 * 4, 3 * 3, 2 * 3, 2 * 3)]
    assert set(network.outputs) == {"concat_1", "c.2.1", "b.2"}


CUT = "input: [8, 4, 4]\nlayers:\n  - split: {name: s, parts: 2}\n  - "


def test_the_bits_of_a_layer_are_those_of_all_its_parts(load):
    network = load(
        "input: [8]\nlayers: [split: {name: s, parts: [2, 3, 3], precision: {feature_map: 3}}]\n"
    )
    assert [network.tensors[f"s.{number}"].bits for number in (1, 2, 3)] == [3, 3, 3]


@pytest.mark.parametrize(
    ("line", "fragments"),
    [
        ("relu: {}", ["net.yaml:4", "'s' has several outputs", "[s.1]"]),
        ("relu: {inputs: [s]}", ["net.yaml:4", "no layer is named 's'", "did you mean 's.1'?"]),
        ("relu: {inputs: [s.3]}", ["net.yaml:4", "no layer is named 's.3'", "did you mean 's.2'?"]),
        (
            "relu: {name: s.1, inputs: [s.2]}",
            ["net.yaml:4", "'s.1' is used twice (also at line 3)"],
        ),
        ("conv: {channels: $previous_channels, kernel: 1}", ["net.yaml:4", "'s' has several"]),
        (
            "repeat: 1\n    layers: [relu: {inputs: [block_input]}]",
            ["net.yaml:5", "'s' has several"],
        ),
        (
            "Cut: {}\n  - relu: {}\nblocks: {Cut: {layers: [split: {parts: 2, inputs: [s.1]}]}}",
            ["net.yaml:5", "'Cut_1.split_1' has several outputs"],
        ),
        (
            "Cut: {name: c, inputs: [s.1]}\n  - relu: {inputs: [c]}\n"
            "blocks: {Cut: {layers: [split: {parts: 2}]}}",
            ["net.yaml:5", "no layer is named 'c'"],
        ),
    ],
)
def test_a_layer_reads_one_part_of_a_split(line, fragments, load):
    with pytest.raises(PerfsimError) as caught:
        load(f"{CUT}{line}\n")
    for fragment in fragments:
        assert fragment in str(caught.value)
