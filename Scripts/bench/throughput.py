#!/usr/bin/env python3
"""Full forward passes per second of Espalier's engine, ONNX Runtime and eager PyTorch, one thread each.

    throughput.py [--models-of resnet20,resnet56,encoder6] [--blocks 16,32,64,128] [--samples 1024] [--repeats 3]

All figures are samples per second of CPU time, so that what else runs on the machine disturbs little; the best of the
repeats. The peers time their passes after a first one. Espalier is timed from outside, by what `evaluate` of all
samples takes more than `evaluate` of the first 128, so that start-up, loading and the first pass do not count. The
last line sets the engine's rate, in FLOP/s by `inspect`'s count, against the peak of a 1024 x 1024 matrix product.
"""

import argparse
import tempfile

from measured import arguments_of, call, finish, machine, peer, subset

FEW = 128


def engine(espalier, model, data, block, samples, repeats):
    """Samples per second of CPU time, start-up taken off; the least time of each of the two calls counts."""
    def least(count):
        return min(
            call(espalier, "evaluate", model, "--data", data, "--samples", count, "--block-size", block, "--json", "-").cpu
            for _ in range(repeats))
    return (samples - FEW) / (least(samples) - least(FEW))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models-of", default="resnet20,resnet56,encoder6")
    parser.add_argument("--blocks", default="16,32,64,128")
    parser.add_argument("--samples", type=int, default=1024)
    parser.add_argument("--repeats", type=int, default=3)
    arguments = arguments_of(parser)
    blocks, figures = arguments.blocks.split(","), {}
    print(f"samples per second of CPU time, one thread; {machine()}")
    for name in arguments.models_of.split(","):
        folder = arguments.models / name
        model = folder / "model.onnx"
        with tempfile.TemporaryDirectory() as scratch:
            data = subset(folder / "data.npz", arguments.samples, scratch)
            options = (name, "--folder", folder, "--data", data, "--blocks", arguments.blocks, "--repeats",
                       arguments.repeats)
            found = {kind: peer("forward_peer.py", kind, *options).result["rates"] for kind in ("eager", "runtime")}
            found["espalier"] = {
                block: engine(arguments.espalier, model, data, block, arguments.samples, arguments.repeats)
                for block in blocks}
            peak = peer("forward_peer.py", "peak", *options).result["flops"]
        flops = call(arguments.espalier, "inspect", model, "--json", "-").result["flops"]
        print(f"\n{name:26}" + "".join(f"{'block ' + block:>12}" for block in blocks))
        for kind, title in (("eager", "eager PyTorch"), ("runtime", "ONNX Runtime"), ("espalier", "Espalier")):
            print(f"  {title:24}" + "".join(f"{found[kind][block]:>12.0f}" for block in blocks))
        for kind, title in (("eager", "Espalier / eager"), ("runtime", "Espalier / ONNX Runtime")):
            print(f"  {title:24}" + "".join(f"{found['espalier'][block] / found[kind][block]:>12.2f}" for block in blocks))
        best = max(found["espalier"].values()) * flops
        print(f"  Espalier at best {best / 1e9:.1f} GFLOP/s, {best / peak:.0%} of the matrix product's {peak / 1e9:.1f}")
        figures[name] = {"samplesPerSecond": found, "flopsPerSample": flops, "peakFlops": peak}
    finish(arguments, figures)


if __name__ == "__main__":
    main()
