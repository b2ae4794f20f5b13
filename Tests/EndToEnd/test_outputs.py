"""`espalier run` computes what ONNX Runtime computes."""

import onnx

from masked import load_data, masked_model, outputs
from program import ARCHITECTURES, espalier, fixture, scratch, together
from numbers_agree import array_faults


def test_run_gives_onnx_runtimes_outputs_on_twelve_architectures():
    assert len(ARCHITECTURES) == 12
    faults = []
    with scratch() as folder:
        for name in ARCHITECTURES:
            model, data = fixture(name)
            espalier("run", model, "--data", data, "--output", folder / "out.npz").succeeded()
            expected = outputs(onnx.load(model), load_data(data))
            faults += array_faults(name, load_data(folder / "out.npz"), expected, 1e-4)
    together(faults)


def test_run_with_removed_edges_gives_the_masked_models_outputs():
    model, data = fixture("resnet18")
    with scratch() as folder:
        # Node and slot of the second residual addition's skip connection, from the file.
        additions = [index for index, node in enumerate(onnx.load(model).graph.node) if node.op_type == "Add"]
        edge = (additions[1], 1)
        espalier(
            "run", model, "--data", data, "--remove", "%d:%d" % edge, "--output", folder / "out.npz").succeeded()
        expected = outputs(masked_model(onnx.load(model), [edge]), load_data(data))
        together(array_faults("resnet18", load_data(folder / "out.npz"), expected, 1e-4))


def test_run_uses_as_many_samples_as_asked_for():
    model, data = fixture("vit")
    with scratch() as folder:
        espalier("run", model, "--data", data, "--samples", 3, "--output", folder / "out.npz").succeeded()
        expected = outputs(onnx.load(model), load_data(data), 3)
        together(array_faults("vit", load_data(folder / "out.npz"), expected, 1e-4))
