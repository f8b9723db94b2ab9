"""What a machine may say beside its four numbers, in SI units: each part is optional, and absent where it is None.

Every number may be one value or an array of shape (machines,), as those of `Machine`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias

if TYPE_CHECKING:
    import numpy as np

    Values: TypeAlias = float | np.ndarray[Any, np.dtype[np.float64]]

# The classes of layers that may have an efficiency, a compression or a unit of their own, and what stands in for one.
LAYER_CLASSES: Mapping[str, str | None] = {
    "conv": None,
    "pointwise": "conv",
    "depthwise": None,
    "dense": None,
    "recurrent": "dense",
    "matmul": None,
}
CLASS_RULES: Mapping[str, str] = {
    "conv": "convolutions, also grouped and transposed ones",
    "pointwise": "convolutions with a kernel of 1 (conv unless given)",
    "depthwise": "convolutions of each channel by itself",
    "dense": "fully connected layers",
    "recurrent": "recurrent layers (dense unless given)",
    "matmul": "products of two feature maps, attention",
}


@dataclass(frozen=True, eq=False)
class DepthwiseUnit:
    """A unit of its own for depthwise convolutions: `pixels` x `channels` multiply-accumulates per cycle."""

    pixels: Values
    channels: Values

    @property
    def macs_per_cycle(self) -> Values:
        """Multiply-accumulates per cycle."""
        return self.pixels * self.channels


@dataclass(frozen=True, eq=False)
class Winograd:
    """Convolutions with fewer multiplications (Lavin and Gray, arXiv:1509.09308).

    Attributes:
        kernel, stride: of the convolutions that run so, square ones, also grouped, not depthwise or dilated.
        gain: multiply-accumulates of the direct convolution for each one that is done.
        weights: bytes of the transformed weights for each byte of the given ones.
    """

    kernel: int
    stride: int
    gain: Values
    weights: Values


# What a grid rounds up: its three dimensions, and the taps of a kernel that is packed by its stride.
ROUNDED = ("pixels", "input_channels", "output_channels", "taps")


@dataclass(frozen=True, eq=False)
class Grid:
    """An array that works on so many pixels, input and output channels in a cycle; each is rounded up.

    Attributes:
        pixels: neighbours in a row of the output.
        input_channels, output_channels: of one group.
        packing: what else fills the input channels: "none", "kernel_row" (the taps of a row of the kernel), "stride"
            (the pixels that a stride skips), "kernel" (all taps).
        packing_layers: "narrow" (those with fewer input channels than the array) or "all"; "" for what is usual: all
            for "kernel", else narrow.
        rounded: of `ROUNDED`, what is rounded up to whole steps; the rest is used up to the last piece.
        depthwise, winograd: None for none.
    """

    pixels: Values = 1
    input_channels: Values = 1
    output_channels: Values = 1
    packing: str = "none"
    depthwise: DepthwiseUnit | None = None
    winograd: Winograd | None = None
    packing_layers: str = ""
    rounded: tuple[str, ...] = ROUNDED

    @property
    def macs_per_cycle(self) -> Values:
        """Multiply-accumulates per cycle of the whole array."""
        return self.pixels * self.input_channels * self.output_channels


@dataclass(frozen=True, eq=False)
class Systolic:
    """A systolic array; its flows are those of `timing.systolic.FLOWS`.

    Attributes:
        preload: whether what stays in the elements is loaded, and results leave, while the fold before is computed.
    """

    rows: Values
    columns: Values
    flow: str
    preload: bool = False
    depthwise: DepthwiseUnit | None = None
    winograd: Winograd | None = None

    @property
    def macs_per_cycle(self) -> Values:
        """Multiply-accumulates per cycle of the whole array."""
        return self.rows * self.columns


@dataclass(frozen=True, eq=False)
class RowStationary:
    """An array whose elements keep rows (Chen, Krishna, Emer, Sze, JSSC 52(1), 2017).

    Attributes:
        rows, columns: elements.
        input_words, weight_words: feature-map and weight words that an element holds.
        buffer_bytes: of the global buffer, what holds inputs and partial sums.
        partial_sum_bytes_per_s: between the array and the global buffer, in each direction.
    """

    rows: Values
    columns: Values
    input_words: Values
    weight_words: Values
    buffer_bytes: Values
    partial_sum_bytes_per_s: Values
    depthwise: None = None
    winograd: None = None

    @property
    def macs_per_cycle(self) -> Values:
        """Multiply-accumulates per cycle of the whole array."""
        return self.rows * self.columns


Array: TypeAlias = Grid | Systolic | RowStationary


@dataclass(frozen=True, eq=False)
class Stream:
    """What passes between on-chip memory and the units: the feature maps of a layer, once.

    Attributes:
        bytes_per_s: in both directions together; None where they are separate.
        read_bytes_per_s, write_bytes_per_s: of each direction; None for one that never limits.
        operand_bytes_per_s: of what is read on the way out (`output_stage`); None where it is read as the rest.
        hidden: whether it passes while the units compute, or before and after.
    """

    bytes_per_s: Values | None = None
    read_bytes_per_s: Values | None = None
    write_bytes_per_s: Values | None = None
    hidden: bool = True
    operand_bytes_per_s: Values | None = None


@dataclass(frozen=True, eq=False)
class WeightMemory:
    """A memory of its own for weights: flash, a second DRAM, a link.

    Attributes:
        bytes_per_s: bandwidth.
        hidden: whether weights come in while the layer computes, or before it.
    """

    bytes_per_s: Values
    hidden: bool = False


@dataclass(frozen=True, eq=False)
class Energy:
    """Energy per event [J], and static power [W].

    Attributes:
        mac_j: per multiply-accumulate, by width [bits]; a layer takes the smallest width that holds its operands.
        vector_op_j: per operation of the vector unit.
        sram_byte_j, ddr_byte_j, weight_byte_j: per byte to or from internal memory, external memory and the memory of
            the weights.
        static_w: power that is drawn all the time.
    """

    mac_j: Mapping[int, Values]
    vector_op_j: Values
    sram_byte_j: Values
    ddr_byte_j: Values
    weight_byte_j: Values | None = None
    static_w: Values | None = None


@dataclass(frozen=True, eq=False)
class Calibration:
    """What a machine's calibrated numbers were fitted on, and how well they carry over.

    Attributes:
        source: where the measurements are from.
        fitted: the keys of the fitted numbers.
        log_errors: ln(measured / predicted) of each row, predicted without it (leave-one-out), shape (rows,).
        networks: the networks that were measured.
        operators: which operators were in them.
        macs, layers: the smallest and the largest number of multiply-accumulates and of layers of a row.
        of_layers: whether the rows are of single layers.
        bits: the widths of what was multiplied in them; empty where the file does not say.
        batches: how many images an inference had; empty where the file does not say.
    """

    # A factor of 22 000 each way: no error of a prediction, and still a number when it is turned back into a factor.
    LARGEST_LOG_ERROR: ClassVar[float] = 10.0

    source: str
    fitted: tuple[str, ...]
    log_errors: tuple[float, ...]
    networks: tuple[str, ...] = ()
    operators: tuple[str, ...] = ()
    macs: tuple[int, int] | None = None
    layers: tuple[int, int] | None = None
    of_layers: bool = False
    bits: tuple[int, ...] = ()
    batches: tuple[int, ...] = ()


@dataclass(frozen=True, eq=False)
class Extras:
    """All that a machine says beside its four numbers.

    Attributes:
        ddr_efficiency: the share of the bandwidth that is reached.
        ddr_latency_s: time before the first byte of each transfer.
        ddr_burst_bytes: transfers are rounded up to whole bursts.
        efficiency: the share of the matrix unit's rate that is reached, by class of layers (`LAYER_CLASSES`).
        matrix_speed: the matrix unit's rate relative to the stated one, by width of the operands [bits]; a layer takes
            the smallest width that holds its operands. Empty: the same at all widths.
        feature_map_ratio: bytes of feature maps that move over DDR for each byte of them.
        weight_ratio: bytes of weights that move for each byte of them, by class of layers.
        weights_shared_by: images that have each fetch of weights in common, by class of layers.
        output_stage: operators of the vector unit that are applied on the matrix unit's way out.
        write_through: whether feature maps that stay in internal memory are written to external memory as well.
        layer_cost_s, inference_cost_s: time that each layer and each inference takes beside.
    """

    ddr_efficiency: Values | None = None
    ddr_latency_s: Values | None = None
    ddr_burst_bytes: Values | None = None
    array: Array | None = None
    efficiency: Mapping[str, Values] = field(default_factory=dict)
    matrix_speed: Mapping[int, Values] = field(default_factory=dict)
    stream: Stream | None = None
    weight_memory: WeightMemory | None = None
    feature_map_ratio: Values | None = None
    weight_ratio: Mapping[str, Values] = field(default_factory=dict)
    weights_shared_by: Mapping[str, Values] = field(default_factory=dict)
    output_stage: tuple[str, ...] = ()
    write_through: bool = False
    layer_cost_s: Values | None = None
    inference_cost_s: Values | None = None
    energy: Energy | None = None
    calibration: Calibration | None = None
