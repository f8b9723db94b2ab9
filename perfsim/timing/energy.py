"""Energy of a layer by cause: events times what each costs, and what is drawn all the time.

Each operand passes once between internal memory and the units, and everything that moves over DDR passes internal
memory once more. A layer that runs with fewer multiplications is charged for those that are done; what takes no time
on the matrix unit's way out takes energy. Source of the form: Horowitz, "Computing's energy problem", ISSCC 2014; the
costs are the machine's.
"""

from __future__ import annotations

from perfsim.timing.formula import Formula
from perfsim.timing.terms import Shape

TOTAL = "energy_j"
ENERGIES = ("matrix_j", "vector_j", "sram_j", "ddr_j", "weight_j", "static_j", TOTAL)


def energy_formulas(shape: Shape) -> tuple[Formula, ...]:
    """The formulas of a layer's energy; none for a machine that states no energies."""
    if not shape.energy:
        return ()
    weights = " + weight_memory_bytes" if shape.weight_memory else ""
    moved = f"(input_bytes + output_bytes + weight_bytes + ddr_bytes{weights})"
    macs = "where(winograd, macs / winograd_gain, macs)" if shape.winograd else "macs"
    vector_ops = "(vector_ops + exit_ops)" if shape.output_stage else "vector_ops"
    causes = [
        Formula("matrix_j", f"{macs} * mac_j", "multiply-accumulates [J]"),
        Formula("vector_j", f"{vector_ops} * vector_op_j", "vector operations [J]"),
        Formula("sram_j", f"{moved} * sram_byte_j", "internal memory [J]"),
        Formula("ddr_j", "ddr_bytes * ddr_byte_j", "external memory [J]"),
    ]
    if "weight_byte_j" in shape.energy:
        causes.append(
            Formula("weight_j", "weight_memory_bytes * weight_byte_j", "the weights' memory [J]")
        )
    if "static_w" in shape.energy:
        causes.append(Formula("static_j", "layer_s * static_w", "drawn all the time [J]"))
    names = " + ".join(cause.symbol for cause in causes)
    return (*causes, Formula(TOTAL, names, "energy of the layer [J]"))
