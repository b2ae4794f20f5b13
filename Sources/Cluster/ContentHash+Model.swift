internal import CSodium
internal import ONNX

extension ContentHash {
    /// The SHA-256 that names a model: its file's, or where weights lie in other files, that of all their digests.
    ///
    /// - Throws: `ContentHashError` when a file cannot be read; `ModelError` when it is no model.
    public static func digest(ofModel path: String) throws -> [UInt8] {
        let own = try digest(ofFile: path)
        let others = try ModelFile(contentsOf: path, loadingExternalData: false).externalDataFiles
        guard !others.isEmpty else { return own }
        let all = try others.reduce(into: own) { $0 += try digest(ofFile: $1) }
        var combined = [UInt8](repeating: 0, count: Int(crypto_hash_sha256_BYTES))
        crypto_hash_sha256(&combined, all, UInt64(all.count))
        return combined
    }
}
