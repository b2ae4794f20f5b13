import ONNX
import Testing
import Torch

@testable import Engine

@Suite struct SignalTests {
    @Test func transformsRealSignals() throws {
        // NumPy: np.fft.fft([1, 2, 3, 4]).
        let y = try OneNode(operation: "DFT")(Tensor([1, 2, 3, 4] as [Float], shape: [1, 4, 1]))
        #expect(try isClose(y[0], [10, 0, -2, 2, -2, 0, -2, -2]))
    }

    @Test func theInverseGivesTheSignalBack() throws {
        let x = try Tensor([1, 0, -2, 3, 4, 5] as [Float], shape: [1, 3, 2])
        let spectrum = try OneNode(operation: "DFT", version: 20)(x, nil, Tensor(scalar: -2))[0]
        let attributes = [AttributeProto(name: "inverse", int: 1)]
        let back = try OneNode(operation: "DFT", version: 20, attributes: attributes)(
            spectrum, nil, Tensor(scalar: 1))
        #expect(try isClose(back[0], [1, 0, -2, 3, 4, 5]))
    }

    @Test func framesOverlap() throws {
        // NumPy: np.fft.rfft of [1, 2], [2, 3] and [3, 4].
        let y = try OneNode(operation: "STFT")(
            Tensor([1, 2, 3, 4] as [Float], shape: [1, 4, 1]), Tensor(scalar: 1), nil, Tensor(scalar: 2))
        #expect(y[0].shape == [1, 3, 2, 2])
        #expect(try isClose(y[0], [3, 0, -1, 0, 5, 0, -1, 0, 7, 0, -1, 0]))
    }

    @Test func windowsArePeriodicUnlessTheNodeSaysNot() throws {
        // NumPy: np.hanning(5)[:4] and np.hanning(5).
        #expect(try isClose(OneNode(operation: "HannWindow")(Tensor(scalar: 4))[0], [0, 0.5, 1, 0.5]))
        let attributes = [AttributeProto(name: "periodic", int: 0)]
        let symmetric = try OneNode(operation: "HannWindow", attributes: attributes)(Tensor(scalar: 5))
        #expect(try isClose(symmetric[0], [0, 0.5, 1, 0.5, 0]))
    }
}
