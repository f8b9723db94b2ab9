"""The depth-first search for addresses: a valley of the skyline is filled, or given up, at every step.

docs/addresses.md says it in words. Plain Python that numba compiles as it stands (`address_sections` does so): loops
and indexing, on lists or arrays. All of it is in this file, by which numba knows whether what it kept is still right.
"""

from __future__ import annotations

from typing import Any

from perfsim.placement.address_state import Problem, State

FAR = 1 << 60  # above every offset
FOUND, LIMIT, EXHAUSTED, TOO_DEEP = 1, 0, -1, -2
_NONE_LEFT, _CONSISTENT = -2, -1


def find_earliest(problem: Problem, state: State) -> None:
    """Fill `earliest` and `crossing`.

    No floor is above a fixed buffer to come: what would reach into it starts above it, and it alone can lie at its
    level.
    """
    first, last, size, fixed = problem.first, problem.last, problem.size, problem.fixed
    placed, earliest, floor, crossing = state.placed, state.earliest, state.floor, state.crossing
    for section in range(len(floor)):
        crossing[section] = 0
    for buffer in range(len(first)):
        if placed[buffer]:
            continue
        start, end, alignment = first[buffer], last[buffer], problem.alignment[buffer]
        offset = floor[start]
        for section in range(start + 1, end):
            crossing[section] += 1
            offset = max(offset, floor[section])
        if fixed[buffer] >= 0:
            earliest[buffer] = fixed[buffer]
            continue
        before = problem.twin[buffer]
        if before >= 0 and not placed[before]:
            offset = max(offset, earliest[before] + size[before])
        offset += -offset % alignment
        for other in problem.fixed_order:
            if (
                not placed[other]
                and first[other] < end
                and start < last[other]
                and offset < fixed[other] + size[other]
                and fixed[other] < offset + size[buffer]
            ):
                offset = fixed[other] + size[other]
                offset += -offset % alignment
        earliest[buffer] = offset


def sort_queue(state: State) -> None:
    """Sort `queue` by falling earliest offset; by insertion, since little has changed since the last time."""
    placed, earliest, queue = state.placed, state.earliest, state.queue
    for index in range(len(queue)):
        buffer = queue[index]
        if placed[buffer]:
            continue
        slot = index
        while slot > 0:
            other = queue[slot - 1]
            if not placed[other] and earliest[other] >= earliest[buffer]:
                break
            queue[slot] = other
            slot -= 1
        queue[slot] = buffer


def infer_levels(problem: Problem, state: State, capacity: int) -> int:
    """Fill `level`, `level_above`, `options`, `load`; returns a section that overflows, -1, or -2 when all is placed.

    In each section, whatever cannot start below an offset must fit above it: the bound of one machine with release
    dates (Carlier, EJOR 11, 1982), for every offset at which something can start.
    """
    placed, earliest = state.placed, state.earliest
    level, level_above, options, load = state.level, state.level_above, state.options, state.load
    for section in range(len(level)):
        level[section] = FAR
        level_above[section] = FAR
        options[section] = 0
        load[section] = 0
    answer = _NONE_LEFT
    for buffer in state.queue:
        if placed[buffer]:
            continue
        answer = _CONSISTENT
        offset, size = earliest[buffer], problem.size[buffer]
        for section in range(problem.first[buffer], problem.last[buffer]):
            load[section] += size
            if offset + load[section] > capacity:
                return section
            if offset < level[section]:
                level_above[section] = level[section]
                level[section] = offset
                options[section] = 0
            options[section] += 1
    return answer


def choose_section(
    state: State, weight: Any, capacity: int, least_size: int
) -> tuple[int, int, int]:
    """The section to decide next, with the first and the last (exclusive) section of its valley.

    A valley is a run of sections at one level between higher ones (or where nothing to come crosses), so that what
    can lie at its level lies inside it. Of all sections in valleys: the one with the fewest branches for its weight,
    which grows with the dead ends that it was found in (Boussemart et al., ECAI 2004).
    """
    level, crossing, options, load = state.level, state.crossing, state.options, state.load
    sections = len(level)
    best, best_start, best_end, best_score = -1, -1, -1, 1e300
    start = 0
    while start < sections:
        height = level[start]
        end = start + 1
        if height < FAR:
            while end < sections and level[end] == height and crossing[end] > 0:
                end += 1
            left_closed = start == 0 or crossing[start] == 0 or level[start - 1] > height
            right_closed = end == sections or crossing[end] == 0 or level[end] > height
            if left_closed and right_closed:
                for section in range(start, end):
                    slack = capacity - height - load[section]
                    least_lift = min(state.level_above[section] - height, least_size)
                    branches = options[section] + (1 if slack >= least_lift else 0)
                    score = (branches - 0.99) / weight[section] + 1e-9 * height / capacity
                    if score < best_score:
                        best, best_start, best_end, best_score = section, start, end, score
        start = end
    return best, best_start, best_end


def list_options(
    problem: Problem, state: State, key: Any, fit: float, valley: tuple[int, int, int], begin: int
) -> int:
    """Put what can lie at the valley's level in its section on the stack from `begin`, best first; returns the end.

    The order is that of `key`, less `fit` for each side of the valley that the buffer meets and for each
    neighbouring level that its top reaches.
    """
    section, start, end = valley
    first, last = problem.first, problem.last
    level, crossing, stack, stack_key = state.level, state.crossing, state.stack, state.stack_key
    height = level[section]
    count = begin
    for buffer in range(len(first)):
        if state.placed[buffer] or state.earliest[buffer] != height:
            continue
        if first[buffer] > section or last[buffer] <= section:
            continue
        rank = key[buffer]
        top = height + problem.size[buffer]
        if first[buffer] == start:
            rank -= fit
            if start > 0 and crossing[start] > 0 and level[start - 1] == top:
                rank -= fit
        if last[buffer] == end:
            rank -= fit
            if end < len(level) and crossing[end] > 0 and level[end] == top:
                rank -= fit
        slot = count
        while slot > begin and stack_key[slot - 1] > rank:
            stack[slot] = stack[slot - 1]
            stack_key[slot] = stack_key[slot - 1]
            slot -= 1
        stack[slot] = buffer
        stack_key[slot] = rank
        count += 1
    return count


def lift_target(
    problem: Problem, state: State, section: int, capacity: int, begin: int, end: int
) -> int:
    """The least level of the section when none of the buffers on the stack lies at its level; -1 above the capacity.

    Its lowest buffer then is one that cannot start there, or rests on one to come that does not live in the section.
    """
    first, last = problem.first, problem.last
    target = state.level_above[section]
    for other in range(len(first)):
        if state.placed[other] or (first[other] <= section < last[other]):
            continue
        top = state.earliest[other] + problem.size[other]
        if top < target:
            for index in range(begin, end):
                buffer = state.stack[index]
                if first[buffer] < last[other] and first[other] < last[buffer]:
                    target = top
                    break
    return int(target) if target + state.load[section] <= capacity else -1


def component_of(state: State, section: int) -> tuple[int, int]:
    """The sections around `section` that buffers still to come connect with it: first, last (exclusive)."""
    start, end = section, section + 1
    while start > 0 and state.crossing[start] > 0:
        start -= 1
    while end < len(state.crossing) and state.crossing[end] > 0:
        end += 1
    return start, end


def open_frame(
    problem: Problem, state: State, depth: int, section: int, capacity: int, begin: int, end: int
) -> None:
    """The decision at `depth`: which of the buffers on the stack lies at the section's level, or none of them."""
    lift = -1
    if problem.fixed[state.stack[begin]] < 0:
        lift = lift_target(problem, state, section, capacity, begin, end)
    state.frame_section[depth] = section
    state.frame_level[depth] = state.level[section]
    state.frame_lift[depth] = lift
    state.frame_next[depth] = begin
    state.frame_end[depth] = end
    state.frame_choice[depth] = -1
    state.frame_from[depth], state.frame_to[depth] = component_of(state, section)


def take_branch(problem: Problem, state: State, depth: int) -> bool:
    """Take the next branch of the decision at `depth`; whether there was one left."""
    height, trail, index = (
        state.frame_level[depth],
        state.frame_trail[depth],
        state.frame_next[depth],
    )
    if index < state.frame_end[depth]:
        buffer = state.stack[index]
        state.frame_next[depth] = index + 1
        state.frame_choice[depth] = buffer
        state.placed[buffer] = 1
        state.offset[buffer] = height
        start, end, top = problem.first[buffer], problem.last[buffer], height + problem.size[buffer]
    else:
        state.frame_choice[depth] = -1
        start, top = state.frame_section[depth], state.frame_lift[depth]
        end = start + 1
        state.frame_lift[depth] = -1
        if top < 0:
            return False
    for section in range(start, end):
        state.trail_section[trail] = section
        state.trail_floor[trail] = state.floor[section]
        state.floor[section] = top
        trail += 1
    state.frame_trail[depth + 1] = trail
    return True


def retreat(problem: Problem, state: State, depth: int, start: int, end: int) -> int:
    """Take back branches from `depth` up, to one that changed a section from `start` to `end`; its depth, or -1."""
    while depth >= 0:
        for index in range(state.frame_trail[depth + 1] - 1, state.frame_trail[depth] - 1, -1):
            state.floor[state.trail_section[index]] = state.trail_floor[index]
        buffer = state.frame_choice[depth]
        if buffer >= 0:
            state.placed[buffer] = 0
            if problem.first[buffer] < end and start < problem.last[buffer]:
                break
        elif start <= state.frame_section[depth] < end:
            break
        depth -= 1
    return depth


def search(
    problem: Problem,
    state: State,
    key: Any,
    weight: Any,
    fit: float,
    capacity: int,
    node_limit: int,
) -> int:
    """Look for offsets within `capacity` in `state.offset`; FOUND, EXHAUSTED (there are none), LIMIT or TOO_DEEP.

    `state` is as made, with nothing placed. key: per buffer, the lowest is tried first; fit: see `list_options`.
    weight: per section, at least 1; it grows. A dead end depends on nothing outside the component that it lies in, so
    decisions elsewhere are skipped on the way up.
    """
    least_size = FAR
    for size in problem.size:
        least_size = min(least_size, size)
    depth, begin = 0, 0
    while True:
        state.counts[0] += 1
        if state.counts[0] > node_limit:
            return LIMIT
        if depth + 1 >= len(state.frame_section) or begin + len(problem.first) > len(state.stack):
            return TOO_DEEP
        find_earliest(problem, state)
        sort_queue(state)
        section = infer_levels(problem, state, capacity)
        if section == _NONE_LEFT:
            return FOUND
        if section == _CONSISTENT:
            valley = choose_section(state, weight, capacity, least_size)
            end = list_options(problem, state, key, fit, valley, begin)
            open_frame(problem, state, depth, valley[0], capacity, begin, end)
        else:
            weight[section] += 1
            start, end = component_of(state, section)
            depth = retreat(problem, state, depth - 1, start, end)
        while depth >= 0 and not take_branch(problem, state, depth):
            weight[state.frame_section[depth]] += 1
            start, end = state.frame_from[depth], state.frame_to[depth]
            depth = retreat(problem, state, depth - 1, start, end)
        if depth < 0:
            return EXHAUSTED
        begin = state.frame_end[depth]
        depth += 1
