internal import ComputationGraph
internal import FoundationEssentials

/// Masks in a text file: one per line, edges separated by blanks; an empty line is the unpruned model.
struct MaskList {
    let masks: [Mask]

    /// - Throws: `InputError` that names file and line.
    init(contentsOf path: String) throws(InputError) {
        guard let bytes = FileManager.default.contents(atPath: path) else {
            throw InputError("cannot read \(path)")
        }
        var lines = String(decoding: bytes, as: UTF8.self).split(
            separator: "\n", omittingEmptySubsequences: false)
        if lines.last?.isEmpty ?? false { lines.removeLast() }
        var masks: [Mask] = []
        for (number, line) in lines.enumerated() {
            var edges: [Edge] = []
            for word in line.split(whereSeparator: \.isWhitespace) {
                guard let edge = Edge(String(word)) else {
                    throw InputError("\(path), line \(number + 1): '\(word)' is no edge (NODE:SLOT)")
                }
                edges.append(edge)
            }
            masks.append(Mask(edges))
        }
        self.masks = masks
    }
}
