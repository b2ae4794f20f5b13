internal import ONNX

extension ContentHash {
    /// The SHA-256 that names a model: its file's, or where weights lie in other files, that of all their digests.
    ///
    /// - Throws: `ContentHashError` when a file cannot be read; `ModelError` when it is no model.
    public static func digest(ofModel path: String) throws -> [UInt8] {
        let own = try digest(ofFile: path)
        let others = try ModelFile(contentsOf: path, loadingExternalData: false).externalDataFiles
        guard !others.isEmpty else { return own }
        let hasher = ContentHasher()
        hasher.update(own)
        for other in others { hasher.update(try digest(ofFile: other)) }
        return hasher.finish()
    }
}
