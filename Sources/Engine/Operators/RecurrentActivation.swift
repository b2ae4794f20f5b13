internal import Torch

private let rectify = Operation("aten::relu")
private let hyperbolicTangent = Operation("aten::tanh")
private let logistic = Operation("aten::sigmoid")
private let leakyRelu = Operation("aten::leaky_relu")
private let threshold = Operation("aten::threshold")
private let clamp = Operation("aten::clamp")
private let elu = Operation("aten::elu")
private let softplus = Operation("aten::softplus")

/// An activation function of a recurrent layer, as ONNX names it, with its parameters.
struct RecurrentActivation: Equatable {
    private enum Function: String {
        case relu, tanh, sigmoid, affine, leakyrelu, thresholdedrelu, scaledtanh, hardsigmoid, elu, softsign,
            softplus

        /// The defaults of alpha and beta; `nil` where the function takes none.
        var defaults: (alpha: Double?, beta: Double?) {
            switch self {
            case .relu, .tanh, .sigmoid, .softsign, .softplus: (nil, nil)
            case .affine: (1, 0)
            case .leakyrelu: (0.01, nil)
            case .thresholdedrelu, .elu: (1, nil)
            case .scaledtanh: (1, 1)
            case .hardsigmoid: (0.2, 0.5)
            }
        }
    }

    private let function: Function
    private let alpha: Double
    private let beta: Double

    static let tanh = RecurrentActivation(function: .tanh, alpha: 0, beta: 0)
    static let sigmoid = RecurrentActivation(function: .sigmoid, alpha: 0, beta: 0)
    static let relu = RecurrentActivation(function: .relu, alpha: 0, beta: 0)

    private init(function: Function, alpha: Double, beta: Double) {
        self.function = function
        self.alpha = alpha
        self.beta = beta
    }

    /// The functions called `names`. Those that have parameters take the next of `alphas` and `betas`, as long as
    /// there are some.
    static func list(
        _ names: [String], alphas: [Float], betas: [Float], _ context: OperatorContext
    ) throws -> [RecurrentActivation] {
        var alphas = alphas[...]
        var betas = betas[...]
        return try names.map { name in
            guard let function = Function(rawValue: name.lowercased()) else {
                throw context.error("attribute activations names '\(name)', which is no activation function")
            }
            let defaults = function.defaults
            let alpha = defaults.alpha.map { alphas.popFirst().map(Double.init) ?? $0 }
            let beta = defaults.beta.map { betas.popFirst().map(Double.init) ?? $0 }
            return RecurrentActivation(function: function, alpha: alpha ?? 0, beta: beta ?? 0)
        }
    }

    func callAsFunction(_ x: Tensor) throws(TorchError) -> Tensor {
        switch function {
        case .relu: try rectify(.tensor(x))
        case .tanh: try hyperbolicTangent(.tensor(x))
        case .sigmoid: try logistic(.tensor(x))
        case .affine: try x * alpha + beta
        case .leakyrelu: try leakyRelu(.tensor(x), .double(alpha))
        case .thresholdedrelu: try threshold(.tensor(x), .double(alpha), 0)
        case .scaledtanh: try hyperbolicTangent(.tensor(x * beta)) * alpha
        case .hardsigmoid: try clamp(.tensor(x * alpha + beta), 0, 1)
        case .elu: try elu(.tensor(x), .double(alpha))
        case .softsign: try x / (x.magnitudes() + 1)
        case .softplus: try softplus(.tensor(x))
        }
    }
}
