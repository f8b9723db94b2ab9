"""Every operator in a network's file, and what it says of inputs that do not fit."""

from __future__ import annotations

import json

import jsonschema
import pytest
import yaml
from conftest import ROOT

from perfsim import Machine, simulate
from perfsim.errors import InputError
from perfsim.network.operators import OPERATORS
from perfsim.program import lower

IMAGES = """\
name: images
input: [8, 8, 8]
layers:
  - conv_transpose: {name: up, channels: 8, kernel: 3, stride: 2, padding: 1, output_padding: [1, 1], batch_norm: true}
  - max_pool: {kernel: 2}
  - avg_pool: {kernel: 1}
  - conv: {channels: 8, kernel: 3, activation: mish}
  - depthwise_conv: {kernel: 3, activation: prelu}
  - group_norm: {groups: 2, activation: relu}
  - instance_norm: {affine: false}
  - batch_norm: {}
  - lrn: {size: 5}
  - channel_shuffle: {groups: 4}
  - global_max_pool: {name: squeezed}
  - mul: {inputs: [channel_shuffle_1, squeezed], name: scaled}
  - sub: {inputs: [scaled, squeezed]}
  - div: {inputs: [previous, squeezed]}
  - pow: {inputs: [previous, squeezed]}
  - minimum: {inputs: [previous, squeezed, scaled]}
  - maximum: {inputs: [previous, squeezed]}
  - add: {inputs: [previous, scaled], activation: relu}
  - resize_nearest: {scale: 2}
  - resize_linear: {scale: [1, 2]}
  - pad: {before: 0, after: [1, 2]}
  - slice: {axis: 2, start: 1, stop: -1, step: 2, name: part}
  - concat: {inputs: [part, part]}
  - resize_linear: {output: [9, 8]}
  - mul: {value: 0.5}
  - sub: {value: $(1 / 3)}
  - split: {name: cut, parts: [4, 12]}
  - gather: {inputs: [cut.2], axis: 1, indices: 4, name: picked}
  - concat: {inputs: [cut.1, picked]}
  - adaptive_max_pool: {output: 4}
  - adaptive_avg_pool: {output: [2, 2]}
  - reduce_max: {axes: [-1], keep_dims: true}
  - reduce_min: {axes: [3]}
  - unsqueeze: {axis: -1}
  - squeeze: {axis: 3}
  - reduce_sum: {axes: [2]}
  - reshape: {shape: [4, -1]}
  - global_avg_pool: {inputs: [up]}
  - flatten: {}
  - fully_connected: {units: 4}
"""

TOKENS = """\
name: tokens
input: [6]
batch: 2
layers:
  - embedding: {name: words, entries: 100, features: 8}
  - layer_norm: {axes: 1}
  - rms_norm: {}
  - learned_add: {shape: [6, 8]}
  - learned_scale: {shape: [-1]}
  - learned_tokens: {}
  - slice: {axis: 1, start: 1}
  - roll: {axes: [1], shifts: [2]}
  - linear: {name: query, units: 8, bias: false}
  - linear: {name: key, inputs: [words], units: 4}
  - linear: {name: value, inputs: [words], units: 4}
  - attention: {inputs: [query, key, value], heads: 4, kv_heads: 2, causal: true}
  - lstm: {units: 4, bidirectional: true}
  - rnn: {units: 8}
  - cum_sum: {}
  - top_k: {name: best, k: 3, axis: 1}
  - gather: {inputs: [rnn_1, best.2], axis: 1, indices: 24}
  - gru: {units: 8, bias: false}
  - transpose: {order: [0, 2, 1], name: turned}
  - matmul: {inputs: [gru_1, gru_1], transpose_b: true, activation: gelu}
  - softmax: {axis: -1}
  - log_softmax: {axis: -1}
  - reduce_mean: {}
"""


def functions() -> str:
    """A network with every function of one element that is no layer's `activation`."""
    shown = yaml.safe_load(IMAGES)["layers"] + yaml.safe_load(TOKENS)["layers"]
    missing = OPERATORS.keys() - {name for layer in shown for name in layer}
    return yaml.safe_dump({"input": [3, 4, 4], "layers": [{name: {}} for name in sorted(missing)]})


@pytest.mark.parametrize("text", [IMAGES, TOKENS, functions()])
def test_every_operator_can_be_written_in_a_file(text, load, perfsim_cli):
    network = load(text)
    result = simulate(
        network,
        Machine(
            "small", sram_bytes=10_000, ddr_bytes_per_s=1e9, matrix_flops=1e12, vector_flops=1e9
        ),
    )
    assert result.totals.total_s > 0
    schema = json.loads(perfsim_cli("schema", "network").out)
    jsonschema.validate(yaml.safe_load(text), schema)


def test_functions_of_one_element_go_with_the_layer_before(load):
    network = load(
        "input: [3, 8, 8]\nlayers:\n  - conv: {channels: 4, kernel: 1}\n  - clip: {}\n  - exp: {}\n"
    )
    conv, exp = lower(network).layers
    assert [(each.op, each.is_free) for each in conv.fused] == [("bias", True), ("clip", True)]
    assert exp.op == "exp"


def test_prelu_brings_its_slopes_along(load):
    network = load(
        "input: [3, 8, 8]\nlayers:\n  - conv: {channels: 4, kernel: 1, activation: prelu}\n"
    )
    (conv,) = lower(network).layers
    assert sum(product.value for product in conv.params) == 3 * 4 + 4 + 4
    assert sum(product.value for product in conv.vector_ops) == 2 * 4 * 64


WRONG = {  # layer -> input shape, parts of the message
    "conv_transpose: {channels: 4, kernel: 3, padding: 9}": ([3, 4, 4], ["cuts off", "padding 9"]),
    "conv_transpose: {channels: 4, kernel: 3, output_padding: 1}": ([3, 4, 4], ["output_padding 1"]),
    "conv_transpose: {channels: 4, kernel: 3, groups: 2}": ([3, 4, 4], ["2 groups", "divisor of 3"]),
    "matmul: {inputs: [input, input]}": ([3, 4], ["3x4 times 3x4", "as many columns"]),
    "matmul: {batch_norm: true, inputs: [input, input]}": ([4, 4], ["batch_norm"]),
    "matmul: {}": ([4, 4], ["found 1 input, expected 2"]),
    "attention: {heads: 2}": ([4, 4], ["found 1 input, expected at least 3"]),
    "attention: {heads: 3, inputs: [input, input, input]}": ([5, 4], ["3 heads", "multiple of 3"]),
    "attention: {heads: 4, kv_heads: 3, inputs: [input, input, input]}": ([5, 4], ["3 heads do not divide"]),
    "attention: {heads: 4, kv_heads: 2, inputs: [input, input, input]}": ([5, 4], ["differ in size"]),
    "attention: {heads: 2, inputs: [input, input, input, input]}": ([5, 4], ["1x2x5x5 and 1x5x4"]),
    "attention: {heads: 1, inputs: [input, input, input]}": ([5], ["tokens x features"]),
    "lstm: {units: 4}": ([5], ["batch x tokens x features"]),
    "layer_norm: {axes: 3}": ([5, 4], ["axes 3 of 3 axes", "the batch stays"]),
    "rms_norm: {axes: 0}": ([5, 4], ["at least 1"]),
    "group_norm: {groups: 2}": ([5, 4], ["divisor of 5"]),
    "instance_norm: {}": ([5], ["batch x channels x space"]),
    "softmax: {axis: 3}": ([5, 4], ["axis 3 of 3 axes", "from -3 to 2"]),
    "reduce_sum: {axes: [1, -2]}": ([5, 4], ["twice"]),
    "reduce_sum: {axes: 1}": ([5, 4], ["a list of whole numbers"]),
    "reduce_sum: {axes: [true]}": ([5, 4], ["a list of whole numbers"]),
    "transpose: {order: [0, 1]}": ([5, 4], ["[0, 1]", "each of [0, 1, 2] once"]),
    "reshape: {shape: [-1, -1]}": ([5, 4], ["at most one of them -1"]),
    "reshape: {shape: [0, 4]}": ([5, 4], ["at least 1"]),
    "reshape: {shape: [3, -1]}": ([5, 4], ["20 elements", "product is 20"]),
    "reshape: {shape: [5]}": ([5, 4], ["20 elements"]),
    "squeeze: {axis: 1}": ([5, 4], ["5 elements along axis 1"]),
    "unsqueeze: {axis: 4}": ([5, 4], ["axis 4 of 4 axes"]),
    "pad: {before: -1}": ([5, 4], ["at least 0"]),
    "pad: {before: [1, 1]}": ([5, 4], ["one number, or 1"]),
    "slice: {axis: 1, start: 5}": ([5, 4], ["nothing is left", "start 5 and stop 5"]),
    "slice: {axis: 7}": ([5, 4], ["axis 7"]),
    "channel_shuffle: {groups: 3}": ([5, 4], ["divisor of 5"]),
    "resize_nearest: {scale: [2, 2, 2]}": ([5, 4, 4], ["one number, or 2"]),
    "resize_linear: {}": ([5, 4, 4], ["neither of scale and output"]),
    "resize_nearest: {scale: 2, output: 8}": ([5, 4, 4], ["both of scale and output"]),
    "split: {parts: 2}": ([5, 4], ["2 equal parts of 5 elements", "divisor of 5"]),
    "split: {parts: [2, 2]}": ([5, 4], ["4 elements in all", "the 5 elements along axis 1"]),
    "split: {parts: 1000000000000}": ([5, 4], ["more than 100,000 outputs"]),
    "split: {parts: half}": ([5, 4], ["how many equal parts, or a list"]),
    "chunk: {parts: 1}": ([5, 4], ["did you mean 'split'?"]),
    "gather: {axis: 1, indices: 3, inputs: [input, input]}": ([5, 4], ["3 for each image"]),
    "top_k: {k: 5}": ([5, 4], ["k 5 of 4 elements along axis -1", "at most 4"]),
    "top_k: {k: 1, activation: relu}": ([5, 4], ["unknown key 'activation'"]),
    "cum_sum: {axis: 3}": ([5, 4], ["axis 3 of 3 axes"]),
    "mul: {}": ([5, 4], ["found 1 input, expected 2 inputs, or one and a value"]),
    "mul: {value: .inf}": ([5, 4], ["found inf", "a number such as 0.5"]),
    "mul: {value: true}": ([5, 4], ["a number such as 0.5"]),
    "sub: {value: 1, inputs: [input, input]}": ([5, 4], ["2 inputs and a value"]),
    "adaptive_avg_pool: {output: 0}": ([5, 4, 4], ["at least 1"]),
    "upsample: {scale: 2}": ([5, 4, 4], ["did you mean 'resize_nearest'?"]),
}  # fmt: skip


@pytest.mark.parametrize("layer", WRONG)
def test_what_does_not_fit_is_said(layer, load):
    shape, parts = WRONG[layer]
    with pytest.raises(InputError) as caught:
        load(f"input: {shape}\nlayers:\n  - {layer}\n")
    for part in ("net.yaml:3", *parts):
        assert part in str(caught.value)


def test_a_scalar_is_refused_where_a_batch_is_needed(load):
    for layer in ("flatten: {}", "fully_connected: {units: 3}", "reshape: {shape: [1]}"):
        with pytest.raises(InputError, match=r"an input of shape scalar|inputs scalar"):
            load(f"input: [4]\nlayers:\n  - reduce_sum: {{axes: [0, 1]}}\n  - {layer}\n")


def test_squeeze_and_excite_as_documented(load):
    text = (ROOT / "docs/operators.md").read_text()
    block = text[text.index("    SqueezeExcite:\n") :]
    network = load(
        f"input: [32, 7, 7]\nblocks:\n{block}\nlayers:\n  - SqueezeExcite: {{name: se, squeezed: 8}}\n"
    )
    layers = lower(network).layers
    assert [layer.op for layer in layers] == ["global_avg_pool", "conv", "conv", "mul"]
    assert layers[-1].output_shapes == ((1, 32, 7, 7),)
    params = sum(product.value for layer in layers for product in layer.params)
    assert params == (32 * 8 + 8) + (8 * 32 + 32)
    vector_ops = sum(product.value for layer in layers for product in layer.vector_ops)
    assert vector_ops == 32 * 49 + 32 * 4 + 32 * 49  # pool, sigmoid, scale; relu is free
