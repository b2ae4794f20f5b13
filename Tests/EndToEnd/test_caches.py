"""Decoders with key-value caches: `past_key_values.*` inputs of any length, 0 too."""

import onnx

from masked import load_data, masked_model, outputs
from numbers_agree import array_faults
from program import ROOT, espalier, scratch, together

CACHES = ROOT / "Tests/Fixtures/caches"
NAMES, PASTS = ("gpt2-cache", "llama-cache"), (0, 5)


def files(name, past):
    return str(CACHES / f"{name}.onnx"), str(CACHES / f"{name}-past{past}.npz")


def test_run_gives_onnx_runtimes_outputs_for_empty_and_filled_caches():
    faults = []
    with scratch() as folder:
        for name in NAMES:
            for past in PASTS:
                model, data = files(name, past)
                espalier("run", model, "--data", data, "--output", folder / "out.npz").succeeded()
                expected = load_data(CACHES / f"{name}-past{past}.expected.npz")
                assert expected["present.1.value"].shape[2] == past + 4
                faults += array_faults(f"{name} past {past}", load_data(folder / "out.npz"), expected, 1e-4)
    together(faults)


def test_a_file_written_at_one_past_length_runs_at_others():
    faults = []
    with scratch() as folder:
        model, data = files("llama-cache", 5)
        loaded = onnx.load(model)
        attention = next(index for index, node in enumerate(loaded.graph.node) if node.op_type == "Attention")
        for slot in range(3):  # queries, keys, values
            edge = (attention, slot)
            espalier(
                "evaluate", model, "--data", data, "--remove", "%d:%d" % edge, "--output", folder / "pruned.onnx"
            ).succeeded()
            pruned = onnx.load(folder / "pruned.onnx")
            for past in PASTS:
                sample = load_data(files("llama-cache", past)[1])
                for count in (2, 6):
                    faults += array_faults(
                        f"without {edge}, past {past}, {count} samples", outputs(pruned, sample, count),
                        outputs(masked_model(loaded, [edge]), sample, count), 1e-4)
    together(faults)


def test_run_without_an_edge_of_a_cache_gives_the_masked_models_outputs():
    faults = []
    with scratch() as folder:
        for name, operator in (("gpt2-cache", "Concat"), ("llama-cache", "Attention")):
            for past in PASTS:
                model, data = files(name, past)
                loaded = onnx.load(model)
                # The past keys of a concatenation, or the queries of an attention.
                edge = next(
                    (index, 0) for index, node in enumerate(loaded.graph.node)
                    if node.op_type == operator and (operator != "Concat" or node.input[0].startswith("past_key")))
                espalier(
                    "run", model, "--data", data, "--remove", "%d:%d" % edge, "--output",
                    folder / "out.npz").succeeded()
                expected = outputs(masked_model(loaded, [edge]), load_data(data))
                faults += array_faults(
                    f"{name} past {past} without {edge}", load_data(folder / "out.npz"), expected, 1e-4)
    together(faults)
