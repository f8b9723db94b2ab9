"""The memory map of one network on one machine: addresses, what is spilled, how much memory would be enough.

perfsim memory mobilenet_v1 --hw 1MB_1GBs_1TF --placement liveness
perfsim memory resnet50 --hw 4MB_4GBs_4TF --placement pinned --alignment 64 -o map.csv
perfsim memory resnet50 --hw 1MB_2GBs_2TF --for-traffic "30 MB"
"""

from __future__ import annotations

import argparse

from perfsim.cli import DONE, common


def configure(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``perfsim memory``."""
    common.add_network(parser)
    common.add_run_options(parser, timing=False)
    parser.add_argument(
        "--alignment",
        metavar="SIZE",
        default="1",
        help="every address is a multiple of this, such as 64 (default: 1)",
    )
    parser.add_argument(
        "--for-traffic",
        metavar="SIZE",
        help="also say the least SRAM with which no more than this moves over DDR, such as 5MB",
    )
    common.add_output_options(parser)


def execute(arguments: argparse.Namespace) -> int:
    """Run it; returns the exit status."""
    alignment = common.size_bytes(arguments.alignment, "--alignment")
    target = arguments.for_traffic
    target_bytes = None if target is None else common.size_bytes(target, "--for-traffic")
    common.check_one_machine(arguments)
    common.check_outputs(arguments, [arguments.model], arguments.hw)
    (network,), (machine,) = common.load_inputs(arguments, [arguments.model])

    from perfsim.placement.memory_map import memory_map
    from perfsim.program import lower
    from perfsim.report.memory import MemoryReport, memory_sheet
    from perfsim.simulation import policies_of

    policy, _ = policies_of(machine, common.chosen_placement(arguments), None)
    program = lower(network)
    placed = memory_map(
        policy,
        program,
        int(machine.sram_bytes),
        double_buffered=machine.double_buffered,
        alignment=alignment,
    )
    report = MemoryReport(policy, program, machine, placed, arguments.settings, target_bytes)
    common.give_out(memory_sheet(report), arguments)
    return DONE
