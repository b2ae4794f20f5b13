@testable import ComputationGraph
import ONNX

/// Small residual models with layers of every linear form; the form's name says which.
///
/// Each computes a branch with two layers of the form, adds it to what it reads, and reads the sum with a third.
enum RecoveryModel: String, CaseIterable {
    case convolution, grouped, depthwise, transposed, right, left, gemm

    /// The model. Layers have a bias where `hasBias`.
    func make(hasBias: Bool = false) throws -> SmallModel {
        var model = SmallModel(operatorSet: 17)
        let shape = shape
        model.input("x", shape)
        try layer("first", reading: "x", hasBias, in: &model)
        model.node("Relu", ["first"], "active", shape)
        try layer("second", reading: "active", hasBias, in: &model)
        model.node("Add", ["second", "first"], "sum", shape)
        try layer("third", reading: "sum", hasBias, in: &model)
        model.node("Relu", ["third"], "y", shape)
        model.output("y")
        return model
    }

    /// The shape of every value.
    var shape: [Int?] {
        switch self {
        case .convolution, .grouped, .depthwise, .transposed: [nil, 4, 5, 5]
        case .right, .left: [nil, 4, 4]
        case .gemm: [nil, 4]
        }
    }

    private func layer(_ name: String, reading input: String, _ hasBias: Bool, in model: inout SmallModel)
        throws
    {
        let weight = "\(name).weight"
        let bias = "\(name).bias"
        let groups = AttributeProto(name: "group", int: self == .grouped ? 2 : self == .depthwise ? 4 : 1)
        let pads = AttributeProto(name: "pads", ints: [1, 1, 1, 1])
        let inputs: [String]
        switch self {
        case .convolution, .grouped, .depthwise:
            try model.weight(weight, [4, self == .grouped ? 2 : self == .depthwise ? 1 : 4, 3, 3])
            if hasBias { try model.weight(bias, [4]) }
            model.node("Conv", [input, weight] + (hasBias ? [bias] : []), name, shape, groups, pads)
            return
        case .transposed:
            try model.weight(weight, [4, 4, 3, 3])
            if hasBias { try model.weight(bias, [4]) }
            model.node("ConvTranspose", [input, weight] + (hasBias ? [bias] : []), name, shape, pads)
            return
        case .gemm:
            try model.weight(weight, [4, 4])
            if hasBias { try model.weight(bias, [4]) }
            model.node(
                "Gemm", [input, weight] + (hasBias ? [bias] : []), name, shape,
                AttributeProto(name: "alpha", float: 0.5), AttributeProto(name: "beta", float: 2),
                AttributeProto(name: "transB", int: 1))
            return
        case .right: inputs = [input, weight]
        case .left: inputs = [weight, input]
        }
        try model.weight(weight, [4, 4])
        guard hasBias else { return model.node("MatMul", inputs, name, shape) }
        try model.weight(bias, self == .left ? [4, 1] : [4])
        model.node("MatMul", inputs, "\(name).product", shape)
        model.node("Add", ["\(name).product", bias], name, shape)
    }
}

extension Graph {
    /// The index of the value of a name.
    func named(_ name: String) -> Int? { values.firstIndex { $0.name == name } }

    /// The initialiser of a name.
    func constant(_ name: String) -> TensorData? { named(name).flatMap { values[$0].constant } }

    /// The linear layer that a vertex of this name is.
    func linearMap(_ name: String) -> LinearMap? {
        LinearMaps(of: self).maps.first { vertices[$0.vertex].name == name }
    }
}
