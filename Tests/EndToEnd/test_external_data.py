"""A model whose weights lie in a file of their own is known by that file too."""

import shutil

import onnx
from program import espalier, espalier_json, example, scratch


def test_changed_external_weights_are_another_model():
    with scratch() as folder:
        model_path, data = example("digits-resnet")
        model = onnx.load(model_path)
        onnx.save(model, f"{folder}/model.onnx", save_as_external_data=True, location="weights.bin", size_threshold=0)
        search = ["prune", f"{folder}/model.onnx", "--data", data, "--steps", "1", "--samples", "64", "--run", f"{folder}/run"]
        embedded = espalier_json(
            "prune", model_path, "--data", data, "--steps", "1", "--samples", "64", "--workers", "0", "--run",
            f"{folder}/embedded")
        external = espalier_json(*search, "--workers", "1")
        assert external["path"] == embedded["path"]

        weights = bytearray(open(f"{folder}/weights.bin", "rb").read())
        weights[1] ^= 1
        open(f"{folder}/weights.bin", "wb").write(weights)
        again = espalier(*search, "--workers", "0", "--resume")
        assert again.code == 65, again.errors
        assert "model" in again.errors, again.errors
        shutil.rmtree(f"{folder}/run")
