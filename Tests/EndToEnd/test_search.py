"""Searches against brute force with ONNX Runtime: the same edges, the same losses, step by step."""

import functools

import numpy as np
import onnx

from brute_force import BruteForce, State
from masked import load_data
from program import close, edge_of, espalier_json, example, fixture, scratch, text_of, together
from wiring import parse_edge


@functools.cache
def reference(model, data, loss, samples):
    """The brute force whose measurements all checks of one model, loss and amount of data share."""
    arrays = {name: array[:samples] for name, array in load_data(data).items()}
    return BruteForce(onnx.load(model), arrays, loss, "absolute")


@functools.cache
def candidates_of(model, selection):
    listed = espalier_json("inspect", model, "--candidates", selection)["candidates"]
    return sorted(edge_of(candidate) for candidate in listed)


def prune(model, data, steps, *options, samples=None):
    limit = ["--samples", samples] if samples else []
    if "--candidates" not in options:
        options = (*options, "--candidates", "branches")
    with scratch() as folder:
        return espalier_json(
            "prune", model, "--data", data, "--steps", steps, "--workers", 0, "--run", folder / "run", *limit, *options)


def path_of(found):
    return [(edge_of(step["edge"]), step["loss"]) for step in found["path"]]


def level_faults(search, ranked, step, mask, loss):
    """Whether `mask` is the best of its level; where ONNX Runtime sees a tie within rounding, any of the tied is."""
    best = ranked[0]
    chosen = next((state for state in ranked if state.mask == mask), None)
    names = " ".join(text_of(edge) for edge in sorted(mask))
    if chosen is None:
        yield f"step {step}: {names} is no state of the level"
        return
    if not close(loss, chosen.loss):
        yield f"step {step}: the loss of {names} is {loss}, but ONNX Runtime's is {chosen.loss}"
    margin = search.score(chosen) - search.score(best)
    if chosen is not best and margin > 1e-6 * max(abs(best.loss), abs(search.base)):
        yield (f"step {step}: chose {names} ({loss}), but {' '.join(map(text_of, sorted(best.edges)))} has "
               f"{best.loss}, unpruned {search.base}")


def greedy_faults(search, found, candidates, steps):
    """The path as brute force goes it; every level is measured whole from the state where the path stands."""
    if not close(found["base"]["loss"], search.base):
        yield f"the unpruned loss is {found['base']['loss']}, but ONNX Runtime's is {search.base}"
    state = State((), search.base, None)
    path = path_of(found)
    for step, (edge, loss) in enumerate(path, 1):
        ranked = search.level([state], candidates)
        state = State((*state.edges, edge), loss, state)
        yield from level_faults(search, ranked, step, state.mask, loss)
    if len(path) < steps and search.level([state], candidates):
        yield f"the path ends after {len(path)} steps, although more can be removed"


def check_greedy(model, data, loss, steps, *options, samples=None, objective="absolute", candidates="branches"):
    found = prune(
        model, data, steps, "--objective", objective, "--candidates", candidates, *options, samples=samples)
    search = reference(model, data, loss, samples)
    search.objective = objective
    together(greedy_faults(search, found, candidates_of(model, candidates), steps))
    return found


def test_greedy_on_the_resnet_is_brute_forces_path():
    found = check_greedy(*example("digits-resnet"), "cross-entropy", 4)
    assert found["work"]["blockEvaluations"] < found["work"]["bruteForceBlockEvaluations"] / 2
    assert found["work"]["clairvoyantBlockEvaluations"] <= found["work"]["blockEvaluations"]


def test_greedy_on_the_vision_transformer_is_brute_forces_path():
    check_greedy(*example("digits-vit"), "cross-entropy", 3, samples=256)


def test_the_signed_objective_is_brute_forces():
    check_greedy(*example("digits-resnet"), "cross-entropy", 3, objective="signed")
    check_greedy(*example("digits-vit"), "cross-entropy", 2, samples=256, objective="signed")


def test_divergence_without_labels_is_brute_forces():
    model, data = example("digits-resnet")
    with scratch() as folder:
        plain = str(folder / "plain.npz")
        np.savez(plain, image=load_data(data)["image"][:128])
        found = check_greedy(model, plain, "kl", 3)
    assert found["loss"] == "kl" and found["base"]["loss"] == 0


def test_squared_error_to_targets_is_brute_forces_on_the_unet():
    assert check_greedy(*fixture("unet"), "mse", 3)["loss"] == "mse"


def test_next_token_loss_is_brute_forces_on_the_language_model():
    model, data = fixture("gpt2")
    with scratch() as folder:
        tokens = load_data(data)
        name = onnx.load(model).graph.input[0].name
        archive = str(folder / "tokens.npz")
        np.savez(archive, **{name: tokens[name], "labels": tokens[name]})
        assert check_greedy(model, archive, "next-token", 2)["loss"] == "next-token"


def test_shards_and_block_sizes_change_no_more_than_rounding():
    for options in (("--shards", 3, "--block-size", 16), ("--block-size", 100)):
        check_greedy(*example("digits-resnet"), "cross-entropy", 2, *options, samples=200)


FEW = "blocks.[2-5]/Add"


def test_exhaustive_search_is_brute_forces():
    model, data = example("digits-resnet")
    candidates = candidates_of(model, FEW)
    assert 4 <= len(candidates) <= 10
    found = prune(model, data, 3, "--strategy", "exhaustive", "--candidates", FEW, samples=128)
    search = reference(model, data, "cross-entropy", 128)
    search.objective = "absolute"
    levels = search.search(candidates, 3, None)
    wrong = []
    for number, ranked in enumerate(levels, 1):
        kept = found["levels"][number]["kept"]
        if {frozenset(map(parse_edge, item["removed"])) for item in kept} != {state.mask for state in ranked}:
            wrong.append(f"level {number}: kept {len(kept)} sets, not the {len(ranked)} of brute force")
        losses = {state.mask: state.loss for state in ranked}
        for item in kept:
            expected = losses.get(frozenset(map(parse_edge, item["removed"])))
            if expected is not None and not close(item["loss"], expected):
                wrong.append(f"level {number}: {item['removed']} has the loss {item['loss']}, not {expected}")
    mask = frozenset(edge for edge, _ in path_of(found))
    wrong += level_faults(search, levels[-1], len(levels), mask, path_of(found)[-1][1])
    together(wrong)


def beam_faults(search, found, candidates, width):
    """Level by level: the kept states are the best expansions of those that were kept before."""
    states = [State((), search.base, None)]
    for number, level in enumerate(found["levels"][1:], 1):
        ranked = search.level(states, candidates)
        kept = [frozenset(map(parse_edge, item["removed"])) for item in level["kept"]]
        if len(kept) != min(width, len(ranked)):
            yield f"level {number}: {len(kept)} states were kept, not {min(width, len(ranked))}"
        losses = {state.mask: state for state in ranked}
        for place, (mask, item) in enumerate(zip(kept, level["kept"])):
            if mask not in losses:
                yield f"level {number}: {item['removed']} is no expansion of a kept state"
                continue
            own, wanted = search.score(losses[mask]), search.score(ranked[place])
            if not close(item["loss"], losses[mask].loss):
                yield f"level {number}: {item['removed']} has the loss {item['loss']}, not {losses[mask].loss}"
            if abs(own - wanted) > 1e-6 * max(abs(ranked[place].loss), abs(search.base)):
                yield f"level {number}, place {place}: {item['removed']} ({own}) is not the best ({wanted})"
        states = [losses[mask] for mask in kept if mask in losses]


def test_beam_search_is_brute_forces():
    model, data = example("digits-resnet")
    found = prune(model, data, 3, "--strategy", "beam", "--beam-width", 3, samples=128)
    search = reference(model, data, "cross-entropy", 128)
    search.objective = "absolute"
    together(beam_faults(search, found, candidates_of(model, "branches"), 3))


def same_path(one, other):
    """To the last bit: JSON brings back every bit of a double."""
    assert one["path"] == other["path"], f"{path_of(one)} and {path_of(other)}"
    assert one["base"] == other["base"]


def test_a_beam_as_wide_as_the_level_is_exhaustive_and_a_beam_of_one_is_greedy():
    model, data = example("digits-resnet")
    few = ("--candidates", FEW)
    # 10 candidates have at most 120 sets of three.
    wide = prune(model, data, 3, "--strategy", "beam", "--beam-width", 200, *few, samples=128)
    same_path(wide, prune(model, data, 3, "--strategy", "exhaustive", *few, samples=128))
    narrow = prune(model, data, 3, "--strategy", "beam", "--beam-width", 1, samples=128)
    same_path(narrow, prune(model, data, 3, samples=128))


def test_bounds_change_no_bit_of_the_path():
    for name, samples, options in (
            ("digits-resnet", 512, ()), ("digits-vit", 128, ("--objective", "signed")),
            ("digits-resnet", 128, ("--strategy", "beam", "--beam-width", 3, "--shards", 2))):
        bounded = prune(*example(name), 2, *options, samples=samples)
        everything = prune(*example(name), 2, *options, "--no-bounds", samples=samples)
        same_path(bounded, everything)
        work = everything["work"]
        assert work["blockEvaluations"] == work["bruteForceBlockEvaluations"]
        assert bounded["work"]["blockEvaluations"] < work["blockEvaluations"]


def test_the_search_stops_at_its_limits():
    model, data = example("digits-resnet")
    found = prune(model, data, 9, "--max-loss-increase", "0.02", samples=256)
    search = reference(model, data, "cross-entropy", 256)
    search.objective = "absolute"
    assert found["path"], "nothing was removed"
    assert all(step["loss"] - found["base"]["loss"] <= 0.02 for step in found["path"])
    state = State((), search.base, None)
    for edge, loss in path_of(found):
        state = State((*state.edges, edge), loss, state)
    after = search.level([state], candidates_of(model, "branches"))
    assert len(found["path"]) == 9 or all(other.loss - search.base > 0.02 for other in after)

    found = prune(model, data, 9, "--until", "parameters=0.8", "--per", "removal", samples=128)
    reached = [step["parameters"] <= 0.8 * found["base"]["parameters"] for step in found["path"]]
    assert reached and reached[-1] and not any(reached[:-1])
