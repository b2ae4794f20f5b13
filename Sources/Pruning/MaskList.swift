public import ComputationGraph
internal import FoundationEssentials

/// Masks in a text file: one per line, edges separated by blanks; an empty line is the unpruned model.
struct MaskList {
    /// A line of the file, with its mask or what is wrong with it.
    struct Line {
        /// From 1.
        let number: Int
        /// The line as it stands there, shortened.
        let text: String
        let mask: Result<Mask, InputError>
    }

    let path: String
    let lines: [Line]

    /// Reads a list.
    ///
    /// - Throws: `InputError` when there is no such file, or nothing in it. What is wrong with a line stands in the line.
    init(contentsOf path: String, replacement: Replacement = .zero) throws(InputError) {
        var isFolder = false
        guard FileManager.default.fileExists(atPath: path, isDirectory: &isFolder) else {
            throw InputError("cannot read the list of masks \(path): there is no such file")
        }
        guard !isFolder, let bytes = FileManager.default.contents(atPath: path) else {
            throw InputError("cannot read the list of masks \(path)" + (isFolder ? ": it is a folder" : ""))
        }
        var texts = String(decoding: bytes, as: UTF8.self).split(
            omittingEmptySubsequences: false, whereSeparator: \.isNewline)
        if texts.last?.isEmpty ?? false { texts.removeLast() }
        guard !texts.isEmpty else {
            throw InputError("\(path): the list holds no masks; one per line, e.g. 5:0 31:0")
        }
        self.path = path
        lines = texts.enumerated().map { index, text in
            Line(
                number: index + 1, text: MaskList.shortened(text),
                mask: MaskList.mask(in: text).map { $0.replacing(with: replacement) })
        }
    }

    /// The masks of the lines that have one.
    var masks: [Mask] { lines.compactMap { try? $0.mask.get() } }

    private static func mask(in text: Substring) -> Result<Mask, InputError> {
        var units: [Unit] = []
        for word in text.split(whereSeparator: \.isWhitespace) {
            guard let unit = Unit(String(word)) else {
                return .failure(
                    InputError("'\(shortened(word))' is no edge; edges are written NODE:SLOT, e.g. 31:0"))
            }
            units.append(unit)
        }
        return .success(Mask(units))
    }

    /// Text that fits into a message, whatever stands in the file.
    private static func shortened(_ text: Substring) -> String {
        text.count <= 80 ? String(text) : text.prefix(77) + "..."
    }
}

extension Mask {
    /// The mask with another replacement where units say nothing of theirs.
    public func replacing(with replacement: Replacement) -> Mask {
        guard replacement != .zero else { return self }
        return Mask(
            units.map { unit in
                guard unit.replacement == .zero, !unit.kind.isSliced,
                    unit.kind == .layer || replacement == .mean
                else {
                    return unit
                }
                return Unit(unit.kind, root: unit.root, replacement: replacement)
            })
    }
}
