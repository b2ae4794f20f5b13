/// How one axis is resampled: for every output position, the input position it lies at and the weights of the
/// input's elements. The formulas are those of ONNX's operator `Resize`.
struct ResizeAxis {
    /// What the attribute `mode` may say.
    enum Mode: String, CaseIterable { case nearest, linear, cubic }

    /// What the attribute `coordinate_transformation_mode` may say.
    enum Coordinates: String, CaseIterable {
        case halfPixel = "half_pixel"
        case halfPixelSymmetric = "half_pixel_symmetric"
        case pytorchHalfPixel = "pytorch_half_pixel"
        case alignCorners = "align_corners"
        case asymmetric
        case cropAndResize = "tf_crop_and_resize"
        /// Opset 11 alone.
        case halfPixelForNearest = "tf_half_pixel_for_nn"
    }

    /// How positions become whole numbers in mode `nearest`.
    enum Rounding: String, CaseIterable {
        case preferFloor = "round_prefer_floor"
        case preferCeil = "round_prefer_ceil"
        case floor
        case ceil
        /// Before opset 11: up when shrinking, down otherwise.
        case simple
    }

    let input: Int
    let output: Int
    /// Output size by input size, as the model gives it: `output` may be rounded.
    let scale: Double
    /// The part of the input that is resized, 0 to 1 for the whole; read by ``Coordinates/cropAndResize`` alone.
    var region: (start: Float, end: Float) = (0, 1)
    let coordinates: Coordinates
    /// Whether ``Coordinates/alignCorners`` counts with the output's size before rounding, as since opset 19.
    let spansFraction: Bool

    /// Whether every output element is the input element at its place.
    var isIdentity: Bool { input == output && scale == 1 && coordinates != .cropAndResize }

    /// The position in the input, counted in elements, of output element `index`.
    ///
    /// In single precision and this order of operations, as the runtimes do it: whether a position falls on an edge
    /// or half way decides what an output element is.
    func position(_ index: Int) -> Double {
        let x = Float(index)
        let scale = Float(scale)
        let last = Float(input - 1)
        let position: Float =
            switch coordinates {
            case .halfPixel: (x + 0.5) / scale - 0.5
            case .pytorchHalfPixel: output > 1 ? (x + 0.5) / scale - 0.5 : 0
            case .halfPixelForNearest: (x + 0.5) / scale
            case .asymmetric: x / scale
            case .alignCorners: cornerLength == 1 ? 0 : x * last / (cornerLength - 1)
            case .halfPixelSymmetric:
                Float(input) / 2 * (1 - Float(output) / (scale * Float(input))) + (x + 0.5) / scale - 0.5
            case .cropAndResize:
                output > 1
                    ? region.start * last + x * (region.end - region.start) * last / Float(output - 1)
                    : 0.5 * (region.start + region.end) * last
            }
        return Double(position)
    }

    /// The output's length between whose corners ``Coordinates/alignCorners`` spans the input.
    private var cornerLength: Float { spansFraction ? Float(scale) * Float(input) : Float(output) }

    /// For every output element, whether it lies outside the input and so takes the extrapolation value.
    var outside: [Bool] {
        (0..<output).map { index in
            guard coordinates == .cropAndResize else { return false }
            let position = position(index)
            return position < 0 || position > Double(input - 1)
        }
    }

    /// For every output element, the input element that it copies.
    func nearest(_ rounding: Rounding) -> [Int] {
        (0..<output).map { index in
            let position = position(index)
            let rounded: Double =
                switch rounding {
                case .preferFloor: (position - 0.5).rounded(.up)
                case .preferCeil: (position + 0.5).rounded(.down)
                case .floor: position.rounded(.down)
                case .ceil: position.rounded(.up)
                case .simple: position.rounded(scale < 1 ? .up : .down)
                }
            return min(max(Int(rounded), 0), input - 1)
        }
    }

    /// The weights of the input's elements for every output element, (output, input) in C order. Rows outside the
    /// input are 0.
    ///
    /// - Parameters:
    ///   - antialias: whether the filter widens when shrinking.
    ///   - excludesOutside: whether elements beyond the edge weigh nothing, instead of being copies of the edge.
    func weights(_ filter: ResizeFilter, antialias: Bool, excludesOutside: Bool) -> [Float] {
        var weights = [Float](repeating: 0, count: output * input)
        let outside = outside
        let narrowing = antialias ? min(scale, 1) : 1
        let first = Int((-filter.radius / narrowing).rounded(.down)) + 1
        for index in 0..<output where !outside[index] {
            let position = position(index)
            // The element left of the position; the distance to it lies in (0, 1].
            let base = Int(position.rounded(.up)) - 1
            let distance = position - Double(base)
            var row: [(element: Int, weight: Double)] = (first...1 - first).map {
                (base + $0, filter.weight(at: (Double($0) - distance) * narrowing))
            }
            if excludesOutside { row.removeAll { !(0..<input).contains($0.element) } }
            let total = row.reduce(0) { $0 + $1.weight }
            let norm = (antialias || excludesOutside) && total != 0 ? total : 1
            for (element, weight) in row {
                weights[index * input + min(max(element, 0), input - 1)] += Float(weight / norm)
            }
        }
        return weights
    }
}

/// An interpolation filter: what an element weighs at a distance.
enum ResizeFilter {
    case linear
    /// Keys, "Cubic Convolution Interpolation for Digital Image Processing", 1981, with the coefficient a.
    case cubic(Double)

    /// The distance from which on elements weigh nothing.
    var radius: Double {
        switch self {
        case .linear: 1
        case .cubic: 2
        }
    }

    func weight(at distance: Double) -> Double {
        let x = abs(distance)
        switch self {
        case .linear: return max(0, 1 - x)
        case .cubic(let a):
            if x <= 1 { return ((a + 2) * x - (a + 3)) * x * x + 1 }
            return x < 2 ? ((a * x - 5 * a) * x + 8 * a) * x - 4 * a : 0
        }
    }
}
