internal import ONNX

/// The module that a node was exported from, in the words of its author's code: `layer3.0.conv1`.
///
/// PyTorch's exporter over torch.export writes it into the node's metadata, the one over TorchScript into the node's name.
struct ModulePath: Hashable, Sendable, CustomStringConvertible {
    /// From the model's attribute down.
    let components: [String]

    var description: String { components.joined(separator: ".") }

    /// The module of a node; `nil` where the file does not tell.
    init?(of node: NodeProto) {
        guard let path = ModulePath.inMetadata(of: node) ?? ModulePath.inName(node.name), !path.isEmpty else {
            return nil
        }
        components = path.split(separator: ".").map(String.init)
    }

    private init(components: [String]) { self.components = components }

    /// The module that all of `paths` lie in; `nil` for the model itself, or without any path.
    static func common(_ paths: [ModulePath]) -> ModulePath? {
        guard var common = paths.first?.components else { return nil }
        for path in paths.dropFirst() {
            common = Array(zip(common, path.components).prefix { $0 == $1 }.map(\.0))
        }
        return common.isEmpty ? nil : ModulePath(components: common)
    }

    /// `pkg.torch.onnx.name_scopes` is a Python list of texts: the modules from the model down, then the node itself.
    private static func inMetadata(of node: NodeProto) -> String? {
        guard
            let scopes = node.metadataProps.first(where: { $0.key == "pkg.torch.onnx.name_scopes" })?.value
        else { return nil }
        let names = scopes.split(separator: "'", omittingEmptySubsequences: false).enumerated()
            .filter { $0.offset % 2 == 1 }.map { String($0.element) }
        return names.dropLast().last
    }

    /// `/layer3/layer3.0/conv1/Conv`: an item of a list repeats the list's name.
    private static func inName(_ name: String) -> String? {
        guard name.contains("/") else { return nil }
        var path: [Substring] = []
        for part in name.split(separator: "/").dropLast() {
            if let last = path.last, part.hasPrefix(last + ".") { path.removeLast() }
            path.append(part)
        }
        return path.joined(separator: ".")
    }
}
