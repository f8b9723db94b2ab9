"""Tiling against a simulation of the loops with real sets of elements, an exhaustive search, and lower bounds."""

from __future__ import annotations

import itertools
import math
import random
import re

import numpy as np
import pytest
from conftest import ROOT

from perfsim import catalog, load_network
from perfsim.frontends.tensor_operators import Einsum, holding, worked
from perfsim.network.arithmetic import Add
from perfsim.network.convolution import Conv, ConvTranspose, DepthwiseConv, FullyConnected
from perfsim.network.matrix import Attention, Linear, Matmul
from perfsim.network.nest import Axis, attention, convolution, product
from perfsim.network.operator import Unit
from perfsim.network.recurrent import Lstm
from perfsim.network.work import elements, total
from perfsim.placement.tiling import (
    best,
    compulsory_bytes,
    floor_tiles,
    front,
    tile_sizes,
    tiling,
)
from perfsim.placement.tiling_traffic import Layout, moved, tiles

ALL = (True, True, True)
BYTES = (8, 8, 8)


# A simulation of the loop nest: it walks over all tiles in order and keeps sets of elements.


def ranges(size, tile):
    return [range(start, min(start + tile, size)) for start in range(0, size, tile)]


def inputs_of(axis, outputs):
    """The inputs from the first tap of the first output to the last tap of the last one."""
    taps = [axis.dilation * tap for tap in range(axis.kernel)]
    if axis.transposed:  # output = input * stride + tap - before
        places = [output + axis.before - tap for output in outputs for tap in taps]
        read = (place for place in range(min(places), max(places) + 1) if not place % axis.stride)
        return [place // axis.stride for place in read if 0 <= place < axis.input * axis.stride]
    places = [output * axis.stride + tap - axis.before for output in outputs for tap in taps]
    return [place for place in range(min(places), max(places) + 1) if 0 <= place < axis.input]


def with_unread(axis, parts):
    """The parts, each with the inputs behind it that no part reads; those before all come with the first."""
    home, homes = 0, {}
    read_by = {place: number for number, part in enumerate(parts) for place in part}
    for place in range(axis.input):
        home = read_by.get(place, home)
        if place not in read_by:
            homes[place] = home
    return [
        [*part, *(place for place, number in homes.items() if number == mine)]
        for mine, part in enumerate(parts)
    ]


def simulate(nest, layout, order, sizes):
    """(most bytes held per operand, read, written, tiles) of a layer that runs tile after tile."""
    tile = {loop: size for (loop, _), size in zip(nest.sizes, sizes, strict=True)}
    cut = {loop: ranges(steps, tile[loop]) for loop, steps in nest.sizes}
    held_inputs = {
        loop: [inputs_of(axis, part) for part in cut[loop]] for loop, axis in nest.axis.items()
    }
    fetched_inputs = {
        loop: with_unread(axis, held_inputs[loop]) for loop, axis in nest.axis.items()
    }
    source, weight, result = nest.operands
    summed = "input channels"
    moving = [loop for loop in order if loop in source.loops and len(cut[loop]) > 1]
    slide = moving[-1] if moving and moving[-1] in nest.axis else None
    now = {0: None, 1: None, 2: None}
    have, visits = set(), {}
    read, written = [0, 0, 0], [0, 0, 0]
    partial_read = partial_written = steps = 0
    most = [0, 0, 0]

    def size_of(operand, index):
        return operand.depth * math.prod(len(cut[loop][index[loop]]) for loop in operand.loops)

    def places(table, index):
        lists = [
            table[loop][index[loop]] if loop in table else cut[loop][index[loop]]
            for loop in source.loops
        ]
        return set(itertools.product(*lists, range(source.depth)))

    def retire(key, index):
        nonlocal partial_written
        if key is not None:
            if visits[key] == len(cut[summed]):
                written[2] += size_of(result, index)
            else:
                partial_written += size_of(result, index)

    for group in range(nest.groups):
        for numbers in itertools.product(*(range(len(cut[loop])) for loop in order)):
            index = dict(zip(order, numbers, strict=True))
            steps += 1
            keys = [
                (group, tuple(index[loop] for loop in operand.loops)) for operand in nest.operands
            ]
            if keys[0] != now[0]:
                new = places(fetched_inputs, index)
                slides = False
                if slide and now[0] and now[0][0] == group:
                    before = dict(zip(source.loops, now[0][1], strict=True))
                    slides = {**before, slide: before[slide] + 1} == {
                        loop: index[loop] for loop in source.loops
                    }
                read[0] += len(new - have) if slides else len(new)
                have = new  # what is read by no window takes no memory, but is not fetched again either
                most[0] = max(most[0], len(places(held_inputs, index)))
            if keys[1] != now[1]:
                read[1] += size_of(weight, index)
                most[1] = max(most[1], size_of(weight, index))
            if keys[2] != now[2]:
                retire(now[2], now[3] if now[2] else None)
                if keys[2] in visits:
                    partial_read += size_of(result, index)
                most[2] = max(most[2], size_of(result, index))
            visits[keys[2]] = visits.get(keys[2], 0) + 1
            now = {**dict(enumerate(keys)), 3: index}
    retire(now[2], now[3])

    def size_bytes(count, bits):
        return math.ceil(count * bits / 8)

    partial_bits = max(32, layout.bits[2])
    split = len(cut[summed]) > 1
    copies = 2 if layout.double_buffered else 1
    held = [size_bytes(count, bits) for count, bits in zip(most, layout.bits, strict=True)]
    if split:
        held[2] = size_bytes(most[2], partial_bits)
    factors = [copies if external else 0 for external in layout.external]
    if split and not layout.external[2]:
        factors[2] = 1
    for number in (0, 1, 2):
        held[number] *= factors[number]
        if not layout.external[number]:
            read[number] = written[number] = 0
    return (
        tuple(held),
        (
            size_bytes(read[0], layout.bits[0]),
            size_bytes(read[1], layout.bits[1]),
            size_bytes(partial_read, partial_bits),
        ),
        (0, 0, size_bytes(written[2], layout.bits[2]) + size_bytes(partial_written, partial_bits)),
        steps,
    )


def random_operator(random):
    """An operator with the shape of its inputs, small enough to walk over every element."""
    kind = random.choice(
        ("conv",) * 3 + ("transposed", "depthwise", "matmul", "attention", "recurrent")
    )
    pick = random.randint
    if kind == "recurrent":
        return Lstm(pick(1, 3), random.random() < 0.5), ((pick(1, 3), pick(1, 4), pick(1, 3)),)
    if kind == "matmul":
        lead = tuple(pick(1, 2) for _ in range(pick(0, 2)))
        a = tuple(random.choice((size, 1)) for size in lead)
        b = tuple(random.choice((size, 1)) for size in lead)
        rows, summed, columns = pick(1, 5), pick(1, 5), pick(1, 5)
        return Matmul(), ((*a, rows, summed), (*b, summed, columns))
    if kind == "attention":
        shared, size = pick(1, 2), pick(1, 3)
        heads = shared * pick(1, 2)
        query, keys = (pick(1, 2), pick(1, 6), heads * size), pick(1, 6)
        key = (query[0], keys, heads // shared * size)
        return Attention(heads, heads // shared), (query, key, key)
    axes = pick(1, 2)
    each = lambda low, high: tuple(pick(low, high) for _ in range(axes))  # noqa: E731
    groups = pick(1, 2)
    shape = (pick(1, 2), groups * pick(1, 3), *each(3, 6 if axes == 2 else 12))
    kernel, stride, dilation = each(1, 3), each(1, 3), each(1, 2)
    padding = random.choice(("same", tuple((pick(0, 3), pick(0, 3)) for _ in range(axes))))
    if kind == "transposed":
        padding = random.choice(("same", "valid", 1))
        operator = ConvTranspose(
            groups * pick(1, 3), kernel, stride, padding, 0, dilation, groups=groups
        )
    elif kind == "depthwise":
        operator = DepthwiseConv(kernel, stride, padding, dilation, multiplier=pick(1, 2))
    else:
        operator = Conv(groups * pick(1, 3), kernel, stride, padding, dilation, groups=groups)
    return operator, (shape,)


def shaped(operator, inputs):
    """(nest, output shapes); None where the operator does not fit its input."""
    try:
        outputs = operator.output_shapes(inputs)
    except Exception:  # a kernel larger than the input
        return None
    return operator.nest(inputs, outputs), outputs


@pytest.mark.parametrize("seed", range(8))
def test_every_byte_is_what_a_walk_over_the_tiles_moves(seed):
    chance = random.Random(seed)
    done = 0
    while done < 60:
        operator, inputs = random_operator(chance)
        made = shaped(operator, inputs)
        if made is None:
            continue
        done += 1
        nest, _ = made
        order = tuple(chance.sample([loop for loop, _ in nest.sizes], len(nest.sizes)))
        order = tuple(sorted(order, key=lambda loop: loop != "tokens"))
        sizes = tuple(chance.choice((1, chance.randint(1, n), n)) for _, n in nest.sizes)
        layout = Layout(
            tuple(chance.choice((1, 4, 8, 16, 64)) for _ in range(3)),
            chance.choice((ALL, tuple(chance.random() < 0.6 for _ in range(3)))),
            chance.random() < 0.3,
        )
        found = tiling(nest, layout, order, sizes)
        held, read, written, steps = simulate(nest, layout, order, sizes)
        case = (operator, inputs, layout, order, sizes)
        assert found.operand_buffer_bytes == held, case
        assert (found.read_bytes, found.write_bytes) == (read, written), case
        assert found.tiles == steps, case
        assert found.buffer_bytes == sum(held)
        assert found.traffic_bytes == sum(read) + sum(written)


# An exhaustive search: all tile sizes in all orders, by the formula that the walk above confirms.


def exhaustive(nest, layout):
    """(buffer bytes, traffic bytes) of every tile size in every order of the loops."""
    loops = [loop for loop, steps in nest.sizes if steps > 1]
    cut = {
        loop: tiles(nest, loop, range(1, steps + 1)).shaped(
            tuple(steps if each == loop else 1 for each in loops)
        )
        for loop, steps in nest.sizes
    }
    shape = tuple(nest.size[loop] for loop in loops)
    rest = tuple(loop for loop, steps in nest.sizes if steps == 1)
    for order in itertools.permutations(loops):
        bytes_of = moved(nest, layout, (*rest, *order), cut)
        buffer = sum(bytes_of.buffer_bytes)
        traffic = sum((*bytes_of.read_bytes, *bytes_of.write_bytes))
        yield np.broadcast_to(buffer, shape), np.broadcast_to(traffic, shape)


def random_layer(chance):
    """The nest of a random convolution or matrix product, up to some ten kilobytes of operands."""
    pick = chance.randint
    if chance.random() < 0.4:
        return product(pick(1, 60), pick(1, 60), pick(1, 60), pick(1, 3))
    axes = []
    for _ in range(chance.choice((1, 2, 2))):
        kernel, dilation, stride = pick(1, 5), chance.choice((1, 1, 2)), pick(1, 2)
        reach, output = dilation * (kernel - 1) + 1, pick(4, 14)
        padding = pick(0, reach - 1)
        size = max(1, (output - 1) * stride + reach - padding)
        axes.append(Axis(output, size, kernel, stride, dilation, padding // 2))
    images = pick(2, 3) if len(axes) == 1 and chance.random() < 0.3 else 1
    return convolution(images, pick(1, 16), pick(1, 16), tuple(axes), pick(1, 2))


@pytest.mark.parametrize("seed", range(10))
def test_traffic_is_near_that_of_an_exhaustive_search(seed):
    chance = random.Random(1000 + seed)
    equal = 0
    for _ in range(10):
        nest = random_layer(chance)
        bits = tuple(chance.choice((8, 8, 16)) for _ in range(3))
        external = chance.choice((ALL, ALL, (False, True, True), (True, True, False)))
        doubled = chance.random() < 0.25
        working_set = compulsory_bytes(nest, bits, ALL) // nest.groups
        memories = [int(working_set / chance.uniform(2, 50)) for _ in range(3)]
        found = front(nest, bits, external, doubled)
        least = dict.fromkeys(memories, math.inf)
        for buffer, traffic in exhaustive(nest, Layout(bits, external, doubled)):
            for memory in memories:
                fits = traffic[buffer <= memory]
                least[memory] = min(least[memory], fits.min() if fits.size else math.inf)
        for memory in memories:
            chosen = best(found, memory)
            equal += least[memory] == (math.inf if chosen is None else chosen.traffic_bytes)
            if chosen is None:
                assert least[memory] == math.inf
            else:
                assert chosen.buffer_bytes <= memory
                assert least[memory] <= chosen.traffic_bytes <= 1.1 * least[memory]
    # Not always: at a padded edge larger tiles, just as many, may fetch a little less.
    assert equal >= 29


def test_a_tile_may_hold_the_same_places_of_several_images():
    """One place of two images makes 5 tiles; two places of one image would make 3 for each, the last one half full."""
    nest = convolution(2, 1, 4, (Axis(5, 10, kernel=2, stride=2),))
    # Two places of an input channel, its weights, and two partial sums.
    chosen = best(front(nest, BYTES, ALL), 2 * 2 + 2 + 2 * 4)
    assert chosen.read_bytes == (2 * 4 * 10, 5 * 4 * 2, 0)


def test_thinning_the_tile_sizes_costs_little(monkeypatch):
    layers = [
        convolution(1, 512, 512, (Axis(56, 56, 3, before=1),) * 2),
        convolution(1, 200, 400, (Axis(100, 100, 5, before=2),) * 2),
        product(30000, 80000, 50000),
    ]
    thinned = [front(nest, BYTES, ALL) for nest in layers]
    monkeypatch.setattr("perfsim.placement.tiling.COMBINATIONS", 10**9)
    wholes = [front.__wrapped__(nest, BYTES, ALL) for nest in layers]
    assert any(
        len(found.buffer_bytes) < len(whole.buffer_bytes)
        for found, whole in zip(thinned, wholes, strict=True)
    )
    for found, whole in zip(thinned, wholes, strict=True):
        working_set = compulsory_bytes(found.nest, BYTES, ALL)
        for part in range(2, 51):
            fits = [each.step(working_set // part) for each in (whole, found)]
            assert whole.traffic_bytes[fits[0]] <= found.traffic_bytes[fits[1]]
            assert found.traffic_bytes[fits[1]] <= 1.1 * whole.traffic_bytes[fits[0]]


# Bounds that hold for any way to run the layer.


def least_elements(macs, reuse, memory):
    """Elements that cross the bus at least, with room for `memory` of them.

    Between two moments among which T elements cross, at most A inputs and B weights are seen and C sums are changed,
    with A + B + C <= 2 memory + T: they were there before, stay behind, or cross. These allow at most
    sqrt(reuse A B C) multiply-accumulates (Loomis and Whitney; Irony, Toledo, Tiskin, J. Parallel Distrib. Comput.
    64(9), 2004, for matrices, where reuse is 1); an input of a convolution meets `reuse` = ceil(kernel / stride) taps
    per axis, so that it counts as that many entries of a matrix (Chen et al., arXiv:1911.05662).
    """
    bound = 0.0
    for crossing in (memory, 2 * memory, 4 * memory):
        each = math.sqrt(reuse * ((2 * memory + crossing) / 3) ** 3)
        bound = max(bound, crossing * math.floor(macs / each))
    return bound


def check_bounds(found):
    nest, layout = found.nest, found.layout
    compulsory = compulsory_bytes(nest, layout.bits, layout.external)
    width = min(layout.bits) / 8
    reuse = math.prod(
        math.ceil(axis.kernel / (axis.stride // math.gcd(axis.stride, axis.dilation)))
        for axis in nest.axes
    )
    for buffer, traffic in zip(found.buffer_bytes, found.traffic_bytes, strict=True):
        memory = float(buffer) / width
        bounds = [compulsory, least_elements(nest.macs, reuse, memory) * width]
        if not nest.axes:  # Smith et al., arXiv:1702.02017: of one product
            macs = nest.macs / nest.groups
            one = 2 * macs / math.sqrt(memory) - 2 * memory
            bounds.append(nest.groups * one * width)
        assert traffic >= max(bounds)
    assert found.traffic_bytes[-1] == compulsory


@pytest.mark.parametrize("seed", range(4))
def test_no_front_is_below_a_bound_and_none_is_worse_with_more_memory(seed):
    chance = random.Random(2000 + seed)
    for _ in range(50):
        nest = random_layer(chance)
        bits = tuple(chance.choice((4, 8, 16, 32)) for _ in range(3))
        found = front(nest, bits, ALL, chance.random() < 0.2)
        check_bounds(found)
        assert (np.diff(found.buffer_bytes) > 0).all()
        assert (np.diff(found.traffic_bytes) < 0).all()
        assert best(found, int(found.buffer_bytes[0]) - 1) is None
        for step, (buffer, traffic) in enumerate(
            zip(found.buffer_bytes, found.traffic_bytes, strict=True)
        ):
            chosen = found.tiling(step)
            assert (chosen.buffer_bytes, chosen.traffic_bytes) == (buffer, traffic)
            assert best(found, int(buffer)) == chosen
            following = [*found.buffer_bytes, buffer + 2][step + 1]
            assert best(found, int(following) - 1) == chosen


def test_a_square_product_is_near_the_bound():
    """With many tiles the partial sums fill the memory, and 2 mnk / sqrt(S) is what passes beside them."""
    size, memory = 1024, 40_000
    found = front(product(size, size, size), (32, 32, 32), ALL)
    chosen = best(found, memory)
    bound = 4 * (2 * size**3 / math.sqrt(memory / 4) - 2 * memory / 4)
    assert bound < chosen.traffic_bytes < 1.1 * bound


@pytest.mark.parametrize("seed", range(4))
def test_with_the_floor_buffer_each_operand_crosses_once(seed):
    chance = random.Random(3000 + seed)
    done = 0
    while done < 60:
        made = shaped(*random_operator(chance))
        if made is None:
            continue
        done += 1
        nest, _ = made
        bits = tuple(chance.choice((1, 8, 16)) for _ in range(3))
        external = tuple(chance.random() < 0.7 for _ in range(3))
        doubled = chance.random() < 0.3
        memory = min(each.buffer_bytes(external, doubled) for each in floor_tiles(nest, bits))
        chosen = best(front(nest, bits, external, doubled), memory)
        assert chosen.traffic_bytes == compulsory_bytes(nest, bits, external)


# The nests themselves.


@pytest.mark.parametrize("name", catalog.bundled_networks())
def test_the_nests_of_bundled_networks_have_their_layers_counts(name):
    network = load_network(name)
    for node in network.nodes:
        inputs, outputs = network.shapes(node.inputs), network.shapes(node.outputs)
        nest, work = node.operator.nest(inputs, outputs), node.operator.work(inputs, outputs)
        if nest is None:
            # A layer table has counts only.
            assert node.operator.unit is not Unit.MATRIX or network.file.endswith(".csv")
            continue
        assert nest.macs == total(work.macs)
        read, weight, written = (nest.elements(operand) for operand in nest.operands)
        assert (read, written) == (elements(inputs[0]), elements(outputs[0]))
        if len(inputs) > 1:
            assert weight == sum(map(elements, inputs[1:3]))
        else:
            assert weight == sum(p.value for p in (*work.params, *work.tied) if p.of == "weights")


@pytest.mark.parametrize("seed", range(4))
def test_the_nests_of_random_operators_have_their_counts(seed):
    chance = random.Random(4000 + seed)
    for _ in range(200):
        operator, inputs = random_operator(chance)
        made = shaped(operator, inputs)
        if made is None:
            continue
        nest, outputs = made
        assert nest.macs == total(operator.work(inputs, outputs).macs)
        read, _, written = nest.operands
        assert nest.elements(read) == elements(inputs[0])
        assert nest.elements(written) == elements(outputs[0])


@pytest.mark.parametrize("transposed", [False, True])
def test_a_tile_holds_every_input_that_a_tap_reads(transposed):
    """The definition of the operators, tap by tap: output o reads o stride + tap dilation - before."""
    chance = random.Random(5)
    for _ in range(300):
        pick = chance.randint
        axis = Axis(pick(1, 9), pick(1, 9), *(pick(1, 3) for _ in range(3)), pick(0, 3), transposed)
        for size in range(1, axis.output + 1):
            spans = []
            for part in ranges(axis.output, size):
                read = set()
                for output, tap in itertools.product(part, range(axis.kernel)):
                    if transposed:
                        place, wrong = divmod(
                            output + axis.before - tap * axis.dilation, axis.stride
                        )
                    else:
                        place, wrong = output * axis.stride + tap * axis.dilation - axis.before, 0
                    if not wrong and 0 <= place < axis.input:
                        read.add(place)
                assert read <= set(inputs_of(axis, part))
                spans.append(len(inputs_of(axis, part)))
            assert max(spans) <= axis.span(size)


def test_tile_sizes_are_one_for_each_number_of_tiles():
    for steps in range(1, 200):
        by_count = {}
        for size in range(steps, 0, -1):
            by_count[-(-steps // size)] = size
        assert tile_sizes(steps) == tuple(sorted(by_count.values()))


def test_axes_without_windows_are_rows():
    rows = Conv(8, 1).nest(((2, 3, 5, 7),), ((2, 8, 5, 7),))
    assert rows == Linear(8).nest(((2 * 5 * 7, 3),), ((2 * 5 * 7, 8),))
    # One of two outputs lies in the padding, and the second input in no window.
    strided = Conv(1, 1, 2, padding=((0, 1),))
    assert strided.nest(((1, 1, 2),), ((1, 1, 2),)).axes == (Axis(2, 2, 1, 2),)
    assert FullyConnected(8).nest(((2, 3, 5),), ((2, 8),)) == product(2, 15, 8)


def test_batches_of_a_product_that_stretch_are_rows_or_columns():
    nest = Matmul().nest(((2, 5, 1, 3, 4), (2, 1, 6, 4, 7)), ((2, 5, 6, 3, 7),))
    assert nest == product(5 * 3, 4, 6 * 7, groups=2).named("a", "b", "output")


def test_a_recurrence_fetches_the_weights_again_for_each_token_unless_they_are_held():
    batch, tokens, features, units = 2, 7, 24, 16
    inputs = ((batch, tokens, features),)
    nest = Lstm(units).nest(inputs, ((batch, tokens, units),))
    weights = 4 * units * (features + units)
    found = front(nest, BYTES, ALL)
    held, passing = best(found, weights + features + units), best(found, weights)
    assert held.read_bytes == (batch * tokens * features, weights, 0)
    # Both images' features beside the weights of one unit after another.
    assert passing.read_bytes == (batch * tokens * features, tokens * weights, 0)
    least = batch * (features + 1) + weights // units
    assert best(found, least) == passing
    assert passing.buffer_bytes == least


def test_attention_fetches_keys_and_values_again_for_each_run_of_queries():
    queries, keys, size = 60, 400, 8
    nest = attention(queries, keys, size, size, groups=3)
    least = front(nest, BYTES, ALL)
    memory = (
        20 * (size + 4 * size) + 2 * size
    )  # queries with their sums in 32 bits, one key with its value
    chosen = best(least, memory)
    assert dict(chosen.tile)["images"] == 20
    assert chosen.read_bytes == (3 * queries * size, 3 * (60 // 20) * keys * 2 * size, 0)


EXAMPLE = Conv(3, 3, padding=1).nest(((1, 2, 6),), ((1, 3, 6),))


def test_the_worked_example():
    text = (ROOT / "docs/tiling.md").read_text()
    section = text.split("## Worked example")[1].split("\n## ")[0]
    rows = re.findall(r"^\| (.*?) \|$", section, re.MULTILINE)[2:]
    assert len(rows) == 4
    least = front(EXAMPLE, BYTES, ALL)
    for number, row in enumerate(rows):
        order, *numbers = row.split(" | ")
        tile, buffer, read, written, traffic = (
            tuple(int(each) for each in part.split(", ")) for part in numbers
        )
        found = tiling(
            EXAMPLE, Layout(BYTES, ALL), ("images", *order.split(", ")), (1, tile[0], *tile[1:])
        )
        assert found.operand_buffer_bytes == buffer
        assert found.read_bytes == read
        assert (sum(found.write_bytes), found.traffic_bytes) == (*written, *traffic)
        if number < 3:  # the first three are what is chosen with just that memory
            assert best(least, sum(buffer)).traffic_bytes == found.traffic_bytes


@pytest.mark.parametrize(
    ("operator", "before"),
    [
        (Conv(1, 3), [1]),  # 8 outputs need 10 inputs: one in front, one behind
        (Conv(1, 3, 2), [0]),  # 4 outputs need 9: the one that is missing goes behind
        (Conv(1, 5, 2, dilation=2), [3]),  # 4 outputs need 15: three in front, four behind
        (Conv(1, 3, padding=((2, 0),)), [2]),
        (ConvTranspose(1, 4, 2), [1]),  # 16 of 18 outputs: one is cut off on both sides
        (ConvTranspose(1, 2, 3), [0]),
        (ConvTranspose(1, 4, 2, padding=1), [1]),
    ],
)
def test_padding_in_front(operator, before):
    inputs = ((1, 1, 8),)
    nest = operator.nest(inputs, operator.output_shapes(inputs))
    assert [axis.before for axis in nest.axes] == before


def test_a_factor_that_is_a_constant_is_the_layer_s_own():
    rows, columns, result = (4, 5), (5, 6), ((4, 6),)
    held = holding(Matmul(), (rows, columns), result, 30)
    assert held.nest((rows,), result) == product(4, 5, 6)
    held = holding(Matmul(), (rows, columns), result, 20)
    assert held.nest((columns,), result) == product(4, 5, 6).named("weight", "input", "output")


def test_keys_of_earlier_tokens_are_not_tiled():
    query, key = (1, 2, 3, 4), (1, 2, 9, 4)
    whole = worked(Attention(1), (query, key, key), (query,))
    assert whole.nest((query, key, key), (query,)) == attention(3, 9, 4, 4, groups=2)
    new = (1, 2, 3, 4)
    assert whole.nest((query, new, new, (1, 2, 6, 4), (1, 2, 6, 4)), (query,)) is None


def test_keys_and_values_of_different_heads_are_not_tiled():
    query, key, value = (1, 4, 3, 8), (1, 2, 3, 8), (1, 4, 3, 8)
    assert Attention(1).nest((query, key, value), (query,)) is None


def test_einsum():
    shapes = ((2, 3, 4), (2, 4, 5))
    assert Einsum("bij", "bjk", "bik").nest(shapes, ((2, 3, 5),)) == product(3, 4, 5, 2).named(
        "a", "b", "output"
    )
    assert Einsum("bij", "bjk", "bk").nest(shapes, ((2, 5),)) is None  # i is in one factor alone
    assert Einsum("ii", "ij", "j").nest(((3, 3), (3, 4)), ((4,),)) is None


def test_what_streams_has_no_nest():
    assert Add().nest(((1, 2), (1, 2)), ((1, 2),)) is None
