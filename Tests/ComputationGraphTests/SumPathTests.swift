@testable import ComputationGraph
import ONNX
import Testing

@Suite("The way of a layer's output into a sum")
struct SumPathTests {
    private static let shape: [Int?] = [nil, 4, 5, 5]

    /// x and other inputs, a 1 × 1 convolution of x called c, and what a closure adds.
    private func steps(
        channels axis: Int = 2, alike: @escaping (String) -> Bool = { _ in true },
        _ add: (inout SmallModel) throws -> Void
    ) throws -> [String] {
        var model = SmallModel(operatorSet: 17)
        model.input("x", Self.shape)
        model.input("other", Self.shape)
        try model.weight("w", [4, 4, 1, 1])
        for name in ["scale", "shift", "mean", "variance"] { try model.weight(name, [4]) }
        try model.weight("factor", [4, 1, 1])
        try model.weight("offset", [1, 4, 1, 1])
        try model.weight("place", [5, 5])
        model.node("Conv", ["x", "w"], "c", Self.shape)
        try add(&model)
        model.output("y")
        let graph = try model.graph()
        let value = try #require(graph.named("c"))
        return SumPath(from: value, channelAxisFromEnd: axis, rank: 4, in: graph) {
            alike(graph.values[$0].name)
        }.steps.map { step in
            switch step {
            case .addend(let vertex, let slot): "sum \(graph.vertices[vertex].name):\(slot)"
            case .affine(let vertex, let slot): "\(graph.vertices[vertex].name):\(slot)"
            }
        }
    }

    @Test("is empty where there is no sum")
    func none() throws {
        #expect(try steps { $0.node("Relu", ["c"], "y", Self.shape) } == [])
        #expect(try steps { $0.node("Mul", ["c", "factor"], "y", Self.shape) } == [])
        #expect(try steps { $0.node("Mul", ["c", "other"], "y", Self.shape) } == [])
    }

    @Test("leads through what can be undone channel by channel, on either side where order does not matter")
    func affineSteps() throws {
        let found = try steps { model in
            model.node("BatchNormalization", ["c", "scale", "shift", "mean", "variance"], "n", Self.shape)
            model.node("Mul", ["factor", "n"], "m", Self.shape)
            model.node("Add", ["offset", "m"], "a", Self.shape)
            model.node("Sub", ["a", "offset"], "s", Self.shape)
            model.node("Div", ["s", "factor"], "d", Self.shape)
            model.node("Identity", ["d"], "i", Self.shape)
            model.node("Add", ["x", "i"], "y", Self.shape)
        }
        #expect(found == ["n:0", "m:1", "a:1", "s:0", "d:0", "i:0", "sum y:1"])
    }

    @Test("leads on through chains of sums, and ends at the last one")
    func chains() throws {
        let found = try steps { model in
            model.node("Add", ["c", "x"], "a", Self.shape)
            model.node("Mul", ["a", "factor"], "m", Self.shape)
            model.node("Sum", ["x", "other", "m"], "s", Self.shape)
            model.node("Mul", ["s", "factor"], "t", Self.shape)
            model.node("Relu", ["t"], "y", Self.shape)
        }
        #expect(found == ["sum a:0", "m:0", "sum s:2"])
    }

    @Test("does not lead past a value that something else reads, or that the model gives")
    func otherReaders() throws {
        #expect(
            try steps { model in
                model.node("Relu", ["c"], "r", Self.shape)
                model.node("Add", ["c", "r"], "y", Self.shape)
            } == [])
        #expect(
            try steps { model in
                model.node("Add", ["c", "c"], "y", Self.shape)
            } == [])
        #expect(
            try steps { model in
                model.output("c")
                model.node("Add", ["c", "x"], "y", Self.shape)
            } == [])
        #expect(
            try steps { model in
                model.node("Add", ["c", "x"], "a", Self.shape)
                model.node("Relu", ["a"], "r", Self.shape)
                model.node("Add", ["a", "r"], "y", Self.shape)
            } == ["sum a:0"])
        #expect(
            try steps { model in
                model.node("Add", ["c", "x"], "a", Self.shape)
                model.output("a")
                model.node("Add", ["a", "other"], "y", Self.shape)
            } == ["sum a:0"])
    }

    @Test("does not lead through what cannot be undone channel by channel")
    func obstacles() throws {
        for (operation, inputs) in [
            ("Relu", ["c"]), ("Mul", ["c", "other"]), ("Mul", ["c", "place"]), ("Add", ["place", "c"]),
            ("Div", ["factor", "c"]), ("Sub", ["factor", "c"]), ("MaxPool", ["c"]),
        ] {
            #expect(
                try steps { model in
                    model.node(operation, inputs, "o", Self.shape)
                    model.node("Add", ["o", "x"], "y", Self.shape)
                } == [], "\(operation) \(inputs)")
        }
        // Channels along the last axis: a batch normalisation along axis 1 mixes them up.
        #expect(
            try steps(channels: 0) { model in
                model.node(
                    "BatchNormalization", ["c", "scale", "shift", "mean", "variance"], "n", Self.shape)
                model.node("Add", ["n", "x"], "y", Self.shape)
            } == [])
    }

    @Test("does not lead where the output is repeated to fit the sum")
    func repeated() throws {
        #expect(
            try steps(alike: { $0 != "y" }) { $0.node("Add", ["c", "x"], "y", Self.shape) } == [])
        #expect(
            try steps(alike: { $0 != "y" }) { model in
                model.node("Add", ["c", "x"], "a", Self.shape)
                model.node("Add", ["a", "other"], "y", Self.shape)
            } == ["sum a:0"])
    }
}
