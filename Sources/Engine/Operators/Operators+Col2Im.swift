internal import Torch

private let add = Operation("aten::index_add")

extension Operators {
    /// Col2Im: blocks (N, C·∏k, L), image shape and block shape as inputs; sums the blocks into the image
    /// (N, C, image…).
    static func col2Im(_ context: OperatorContext) throws -> Kernel {
        let window = try SpatialWindow(context)
        let imageShape = try context.integers(in: 1)
        let blockShape = try context.integers(in: 2)
        return { inputs in
            let blocks = try context.required(inputs, 0)
            guard let image = try imageShape(inputs), let kernel = try blockShape(inputs) else {
                throw context.error("image_shape or block_shape is missing")
            }
            guard (image + kernel).allSatisfy({ (1...SpatialWindow.largest).contains($0) }), image.count <= 3
            else {
                throw context.error("image_shape \(image) or block_shape \(kernel) is out of range")
            }
            let place = try window.placed(over: image, kernel: kernel)
            let windows = place.output.reduce(1, *)
            guard blocks.rank == 3, blocks.shape[1] % place.kernelCount == 0, blocks.shape[2] == windows
            else {
                throw context.error(
                    "blocks of shape \(blocks.shape), where \(place.kernelCount) cells and \(windows) windows belong"
                )
            }
            // The image with room for every cell of every window.
            let padded = image.indices.map {
                image[$0] + place.begin[$0] + max(place.end[$0], place.reach[$0])
            }
            let targets = try Tensor(flatTargets(place, padded: padded))
            let channels = blocks.shape[1] / place.kernelCount
            let flat = try blocks.reshaped([blocks.shape[0] * channels, place.kernelCount * windows])
            let empty = try Tensor.filled(
                0, shape: [flat.shape[0], padded.reduce(1, *)], type: blocks.scalarType)
            let sums = try add(.tensor(empty), 1, .tensor(targets), .tensor(flat))
            return [
                try sums.reshaped([blocks.shape[0], channels] + padded).padded(
                    begin: place.begin.map { -$0 },
                    end: image.indices.map { image[$0] + place.begin[$0] - padded[$0] })
            ]
        }
    }

    /// For every cell and every window, in C order, the position in the flattened padded image.
    private static func flatTargets(_ place: WindowPlacement, padded: [Int]) -> [Int] {
        let cells = offsets(place.kernel, steps: place.dilations, padded: padded)
        let starts = offsets(place.output, steps: place.strides, padded: padded)
        return cells.flatMap { cell in starts.map { cell + $0 } }
    }

    /// The flat positions of a regular lattice in an image of the sizes `padded`.
    private static func offsets(_ counts: [Int], steps: [Int], padded: [Int]) -> [Int] {
        zip(counts, zip(steps, padded)).reduce([0]) { sofar, dimension in
            let (count, (step, size)) = dimension
            return sofar.flatMap { base in (0..<count).map { base * size + $0 * step } }
        }
    }
}
