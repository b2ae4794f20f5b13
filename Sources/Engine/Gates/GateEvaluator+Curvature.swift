internal import ComputationGraph
internal import Torch

/// Second derivatives in gate space, summed over a block.
public struct GateCurvature: Sendable {
    /// Σ_n w_n ∂l_n/∂z_e, by edge; `nil` where no gradient comes back.
    public let gradient: [Double?]
    /// Σ_n w_n ∂²l_n/∂z_e∂z_f or its approximation, symmetric; 0 where no gradient comes back.
    public let matrix: [[Double]]
}

extension GateEvaluator {
    /// The full gate Hessian H_ef = ∂²L/∂z_e∂z_f, by differentiating each gate gradient once more.
    ///
    /// With it ΔL(S) ≈ −Σ g_e + ½ ΣΣ H_ef for the removal of S (LeCun, Denker and Solla, "Optimal Brain Damage",
    /// 1990, equation 2; Hassibi and Stork, "Optimal Brain Surgeon", 1993, equation 1, in the space of gates).
    /// Needs one forward pass and one backward pass per edge, and one more.
    ///
    /// - Throws: `EngineError`, or `TorchError` where an operator has no (second) derivative.
    public func hessian(samples: [Int], weights: [Float]) throws -> GateCurvature {
        let block = try block(samples, axes: edges.map { _ in nil })
        let gradients = try derivatives(
            of: block.weightedLoss(weights), withRespectTo: block.gates.leaves, createGraph: true)
        var rows: [[Double]] = []
        for gradient in gradients { rows.append(try row(of: gradient, in: block)) }
        return GateCurvature(
            gradient: settled(try gradients.map { try $0?.item(as: Double.self) }, without: 0),
            matrix: symmetrised(rows))
    }

    /// The Hessian times a vector of one number per edge, from two backward passes (Pearlmutter, "Fast exact
    /// multiplication by the Hessian", 1994).
    ///
    /// - Returns: Σ_f H_ef v_f, by edge.
    public func hessianProduct(_ vector: [Double], samples: [Int], weights: [Float]) throws -> [Double] {
        let block = try block(samples, axes: edges.map { _ in nil })
        let gradients = try derivatives(
            of: block.weightedLoss(weights), withRespectTo: block.gates.leaves, createGraph: true)
        let projection = try TorchRuntime.withGradients {
            var sum: Tensor?
            for (gradient, factor) in zip(gradients, vector) {
                guard let gradient, factor != 0 else { continue }
                let term = try gradient * factor
                sum = try sum.map { try $0 + term } ?? term
            }
            return sum
        }
        return try row(of: projection, in: block)
    }

    /// The Gauss-Newton approximation Σ_n w_n J_nᵀ H_n J_n, where J_n is the derivative of sample n's output with
    /// respect to the gates and H_n the loss's Hessian with respect to the output (Schraudolph, "Fast curvature
    /// matrix-vector products", 2002). Positive semi-definite for convex losses; equal to the Hessian where the
    /// outputs are linear in the gates, and for losses that compare with the model's own outputs.
    ///
    /// - Throws: `EngineError`, or `TorchError` where an operator has no (second) derivative.
    public func gaussNewton(samples: [Int], weights: [Float]) throws -> GateCurvature {
        let block = try block(samples, axes: edges.map { _ in nil })
        var total = [Double?](repeating: nil, count: edges.count)
        var rows = edges.map { _ in edges.map { _ in 0.0 } }
        // The loss is a sum over terms, and so is its matrix.
        for term in block.outputs.indices {
            let (gradient, matrix) = try gaussNewton(of: term, in: block, weights)
            for (place, slope) in gradient.enumerated() {
                if let slope { total[place] = (total[place] ?? 0) + slope }
            }
            for row in rows.indices {
                for column in rows.indices { rows[row][column] += matrix[row][column] }
            }
        }
        return GateCurvature(gradient: settled(total, without: 0), matrix: symmetrised(rows))
    }

    private func gaussNewton(of term: Int, in block: GatedBlock, _ weights: [Float]) throws
        -> (gradient: [Double?], matrix: [[Double]])
    {
        let leaves = block.gates.leaves
        let recorded = block.outputs[term]
        guard try recorded.isRecorded else {
            return (leaves.map { _ in nil }, leaves.map { _ in leaves.map { _ in 0 } })
        }
        // Jᵀu is linear in u: differentiating it by u gives columns of J.
        let direction = try Tensor.filled(0, shape: recorded.shape, type: recorded.scalarType)
        try direction.requireGradient()
        let pulled = try Tensor.gradients(
            of: [recorded], seeds: [direction], withRespectTo: leaves, keepGraph: true, createGraph: true)
        let output = try recorded.detached()
        try output.requireGradient()
        let outputGradient = try Tensor.gradients(
            of: [
                block.weighted(
                    try TorchRuntime.withGradients { try block.losses(of: term, for: output) }, weights)
            ], withRespectTo: [output], keepGraph: true, createGraph: true)[0]
        var rows: [[Double]] = []
        for pulled in pulled {
            var row = [Double](repeating: 0, count: leaves.count)
            if let pulled, let outputGradient,
                let column = try Tensor.gradients(of: [pulled], withRespectTo: [direction], keepGraph: true)[
                    0],
                let curved = try curvature(outputGradient, output, along: column)
            {
                row = try Tensor.gradients(
                    of: [recorded], seeds: [curved], withRespectTo: leaves, keepGraph: true
                ).map { try $0?.item(as: Double.self) ?? 0 }
            }
            rows.append(row)
        }
        let gradient: [Double?] =
            try outputGradient.map { seed in
                try Tensor.gradients(
                    of: [recorded], seeds: [seed.detached()], withRespectTo: leaves, keepGraph: true
                ).map { try $0?.item(as: Double.self) }
            } ?? leaves.map { _ in nil }
        return (gradient, rows)
    }

    /// The loss's Hessian with respect to the output, times `column`; `nil` where the loss is linear.
    private func curvature(_ gradient: Tensor, _ output: Tensor, along column: Tensor) throws -> Tensor? {
        let projection = try TorchRuntime.withGradients {
            let product = try gradient * column
            return try product.summed(over: Array(0..<product.rank))
        }
        return try derivatives(of: projection, withRespectTo: [output])[0]
    }

    private func row(of gradient: Tensor?, in block: GatedBlock) throws -> [Double] {
        guard let gradient else { return edges.map { _ in 0 } }
        return try derivatives(of: gradient, withRespectTo: block.gates.leaves).map {
            try $0?.item(as: Double.self) ?? 0
        }
    }

    /// Derivatives of a scalar that may depend on nothing: a gradient that is constant has none of its own.
    func derivatives(of scalar: Tensor, withRespectTo inputs: [Tensor], createGraph: Bool = false) throws
        -> [Tensor?]
    {
        guard try scalar.isRecorded else { return inputs.map { _ in nil } }
        return try Tensor.gradients(
            of: [scalar], withRespectTo: inputs, keepGraph: true, createGraph: createGraph)
    }

    private func symmetrised(_ rows: [[Double]]) -> [[Double]] {
        rows.indices.map { row in rows.indices.map { (rows[row][$0] + rows[$0][row]) / 2 } }
    }
}

extension Tensor {
    private static let isLeaf = Operation("aten::is_leaf")

    /// Whether autograd recorded how this tensor was computed.
    var isRecorded: Bool { get throws { try !Tensor.isLeaf(.tensor(self)).item(as: Bool.self) } }
}
