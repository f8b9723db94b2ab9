"""What is derived from a value once, and goes with it."""

from __future__ import annotations

import gc
import pickle
import weakref
from dataclasses import dataclass, replace

import perfsim
from perfsim.per_object import per_object
from perfsim.sweeps.plans import plans_of


@dataclass(frozen=True, eq=False)
class Value:
    number: int


@per_object
def twice(value):
    return [value, 2 * value.number]


def test_what_is_derived_is_derived_once_for_each_object_and_not_copied():
    value = Value(3)
    assert twice(value)[1] == 6
    assert twice(value) is twice(value)
    assert twice(Value(3)) is not twice(value)
    copied, sent = replace(value), pickle.loads(pickle.dumps(value))
    for other in (copied, sent):
        assert twice(other)[0] is other
    assert len(pickle.dumps(value)) < 200


def test_a_network_takes_its_programs_and_plans_with_it():
    network, machine = perfsim.load_network("lenet5"), perfsim.load_hardware("1MB_1GBs_1TF")
    perfsim.simulate(network, machine, "liveness")
    program = perfsim.lower(network)
    plans = plans_of(program, perfsim.simulation.policies_of(machine, "liveness", None)[0], machine)
    plans.plan(10**6)
    kept = [weakref.ref(each) for each in (network, program, plans)]
    del network, program, plans
    gc.collect()
    assert [each() for each in kept] == [None, None, None]
