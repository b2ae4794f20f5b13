internal import ONNX

/// How the windows of a convolution or pooling lie over the spatial dimensions, as the attributes say it.
struct SpatialWindow {
    /// What the attribute `auto_pad` may say.
    enum AutoPad: String, CaseIterable {
        case notSet = "NOTSET"
        case sameUpper = "SAME_UPPER"
        case sameLower = "SAME_LOWER"
        case valid = "VALID"
    }

    /// The largest number that makes sense in any attribute; products of three do not overflow.
    static let largest = 1 << 20

    /// The attributes as the node gives them; `nil` where left out.
    let kernel: [Int]?
    private let strides: [Int]?
    private let dilations: [Int]?
    private let pads: [Int]?
    /// Who decides about the padding.
    let autoPad: AutoPad
    private let ceilMode: Bool
    private let context: OperatorContext

    /// Reads and checks the node's attributes.
    init(_ context: OperatorContext) throws {
        self.context = context
        let node = context.node
        kernel = try node.ints("kernel_shape", default: nil)
        strides = try node.ints("strides", default: nil)
        dilations = try node.ints("dilations", default: nil)
        pads = try node.ints("pads", default: nil)
        autoPad = try context.choice("auto_pad", default: AutoPad.notSet)
        ceilMode = try context.flag("ceil_mode")
        for (name, list) in [("kernel_shape", kernel), ("strides", strides), ("dilations", dilations)] {
            if let list, list.contains(where: { !(1...Self.largest).contains($0) }) {
                throw context.error(
                    "attribute \(name) is \(list); every number must lie in 1...\(Self.largest)")
            }
        }
        if let pads, pads.contains(where: { !(0...Self.largest).contains($0) }) {
            throw context.error("attribute pads is \(pads); every number must lie in 0...\(Self.largest)")
        }
    }

    /// The kernel's size from the attribute, which must not contradict the weight.
    func kernel(ofWeight shape: [Int]) throws -> [Int] {
        let size = Array(shape.dropFirst(2))
        if let kernel, kernel != size {
            throw context.error("attribute kernel_shape is \(kernel), but the weight has the shape \(shape)")
        }
        guard size.allSatisfy({ (1...Self.largest).contains($0) }) else {
            throw context.error("a weight of shape \(shape) has no kernel")
        }
        return size
    }

    /// The attribute `group`.
    func groups() throws -> Int {
        let groups = try context.node.int("group", default: 1)
        // libtorch divides by products of it.
        guard (1...Self.largest).contains(groups) else {
            throw context.error("attribute group is \(groups); it must be between 1 and \(Self.largest)")
        }
        return groups
    }

    /// The list for `count` dimensions from an attribute, with every number `value` where it is left out.
    private func list(_ name: String, _ given: [Int]?, _ count: Int, default value: Int) throws -> [Int] {
        guard let given else { return [Int](repeating: value, count: count) }
        guard given.count == count else {
            throw context.error("attribute \(name) has \(given.count) numbers where \(count) are needed")
        }
        return given
    }

    /// Strides, dilations and the explicit pads for `count` spatial dimensions.
    func steps(_ count: Int) throws -> (strides: [Int], dilations: [Int], begin: [Int], end: [Int]) {
        let pads = try list("pads", pads, 2 * count, default: 0)
        return (
            try list("strides", strides, count, default: 1),
            try list("dilations", dilations, count, default: 1),
            Array(pads[..<count]), Array(pads[count...])
        )
    }

    /// Where the windows lie over an input of the given spatial sizes.
    func placed(over spatial: [Int], kernel: [Int]) throws -> WindowPlacement {
        guard kernel.count == spatial.count else {
            throw context.error("a kernel of \(kernel.count) dimensions over an input with \(spatial.count)")
        }
        var (strides, dilations, begin, end) = try steps(spatial.count)
        var output: [Int] = []
        for index in spatial.indices {
            let extent = dilations[index] * (kernel[index] - 1) + 1
            let size = spatial[index]
            let stride = strides[index]
            switch autoPad {
            case .notSet:
                let room = size + begin[index] + end[index] - extent
                var count = room < 0 ? 0 : room / stride + 1
                if ceilMode && room > 0 && room % stride != 0 && count * stride < size + begin[index] {
                    count += 1
                }
                output.append(count)
            case .valid:
                (begin[index], end[index]) = (0, 0)
                output.append(size < extent ? 0 : (size - extent) / stride + 1)
            case .sameUpper, .sameLower:
                let count = (size + stride - 1) / stride
                let total = max(0, (count - 1) * stride + extent - size)
                begin[index] = autoPad == .sameUpper ? total / 2 : total - total / 2
                end[index] = total - begin[index]
                output.append(count)
            }
            guard output[index] > 0 || size == 0 else {
                throw context.error(
                    "a window of \(extent) does not fit into \(size) + \(begin[index]) + \(end[index]) positions"
                )
            }
        }
        return WindowPlacement(
            input: spatial, kernel: kernel, strides: strides, dilations: dilations, begin: begin, end: end,
            output: output)
    }
}

/// The windows over an input of known size, one number per spatial dimension in every list.
struct WindowPlacement {
    let input: [Int]
    let kernel: [Int]
    let strides: [Int]
    let dilations: [Int]
    /// Padding before and behind the input.
    let begin: [Int]
    let end: [Int]
    /// The number of windows.
    let output: [Int]

    /// How far the padding behind must reach for every window to lie inside: less than `end` where windows leave
    /// some of it out, more where `ceil_mode` adds one that hangs over.
    var reach: [Int] {
        input.indices.map { index in
            (output[index] - 1) * strides[index] + dilations[index] * (kernel[index] - 1) + 1 - input[index]
                - begin[index]
        }
    }
    /// Whether a window reaches further than the padding.
    var overhangs: Bool { zip(reach, end).contains { $0 > $1 } }
    /// The number of cells of a window.
    var kernelCount: Int { kernel.reduce(1, *) }
}
