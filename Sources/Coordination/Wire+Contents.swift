internal import Foundation
internal import Work
internal import SwiftProtobuf

/// Contents, and what is known by them.
extension Wire {
    // MARK: Encoding

    func encoded(_ content: ContentID) -> ProtoContent {
        .with {
            $0.sha256 = Data(content.sha256)
            $0.size = UInt64(max(0, content.size))
        }
    }

    func encoded(_ part: ModelPart) -> ProtoModelPart {
        .with {
            $0.name = part.name
            $0.content = encoded(part.content)
        }
    }

    func encoded(_ reference: Reference) throws(WireError) -> ProtoReference {
        let key = try encoded(reference.key, "welcome")
        return .with {
            $0.content = encoded(reference.content)
            $0.key = key
        }
    }

    func encoded(_ shards: [ShardContent]) throws(WireError) -> ProtoHold {
        guard shards.count <= limits.heldShards else {
            throw .invalid(message: "hold", field: "shards", problem: "\(shards.count) are too many")
        }
        return .with {
            $0.shards = shards.map { shard in
                .with {
                    $0.shard = UInt32(clamping: shard.shard)
                    $0.content = encoded(shard.content)
                }
            }
        }
    }

    // MARK: Decoding

    func decoded(_ content: ProtoContent, _ message: String, _ field: String) throws(WireError) -> ContentID {
        ContentID(
            sha256: try hash(content.sha256, message, field),
            size: try number(content.size, atMost: limits.contentBytes, message, field))
    }

    func decoded(_ parts: [ProtoModelPart]) throws(WireError) -> [ModelPart] {
        guard parts.count <= limits.modelParts else {
            throw .invalid(
                message: "welcome", field: "model_parts", problem: "a model of \(parts.count) files")
        }
        var decoded: [ModelPart] = []
        for proto in parts {
            let part = ModelPart(
                name: try text(proto.name, "welcome", "model_parts.name"),
                content: try self.decoded(proto.content, "welcome", "model_parts.content"))
            guard part.isSafe, part.name.utf8.count <= limits.nameBytes else {
                throw .invalid(
                    message: "welcome", field: "model_parts.name",
                    problem: "'\(part.name)' does not stay within the model's folder")
            }
            decoded.append(part)
        }
        guard Set(decoded.map(\.name)).count == decoded.count else {
            throw .invalid(message: "welcome", field: "model_parts.name", problem: "two files have one name")
        }
        return decoded
    }

    func decoded(_ reference: ProtoReference) throws(WireError) -> Reference {
        Reference(
            content: try decoded(reference.content, "welcome", "reference.content"),
            key: try decoded(reference.key, reference.hasKey, "welcome"))
    }

    func decoded(_ hold: ProtoHold) throws(WireError) -> [ShardContent] {
        guard hold.shards.count <= limits.heldShards else {
            throw .invalid(message: "hold", field: "shards", problem: "\(hold.shards.count) are too many")
        }
        var shards: [ShardContent] = []
        for shard in hold.shards {
            guard Int(shard.shard) < limits.shards else {
                throw .invalid(message: "hold", field: "shard", problem: "there is no shard \(shard.shard)")
            }
            shards.append(
                ShardContent(
                    shard: Int(shard.shard), content: try decoded(shard.content, "hold", "content")))
        }
        return shards
    }

    func decoded(_ fetch: ProtoFetch) throws(WireError) -> ChunkRequest {
        guard (1...ChunkRequest.largestCount).contains(Int(fetch.count)) else {
            throw .invalid(
                message: "fetch", field: "count",
                problem: "a chunk has between 1 and \(ChunkRequest.largestCount) bytes, not \(fetch.count)")
        }
        return ChunkRequest(
            sha256: try hash(fetch.sha256, "fetch", "sha256"),
            offset: try number(fetch.offset, atMost: limits.contentBytes, "fetch", "offset"),
            count: Int(fetch.count))
    }

    func decoded(_ chunk: ProtoChunk) throws(WireError) -> Chunk {
        guard (1...ChunkRequest.largestCount).contains(chunk.bytes.count) else {
            throw .invalid(
                message: "chunk", field: "bytes",
                problem:
                    "a chunk has between 1 and \(ChunkRequest.largestCount) bytes, not \(chunk.bytes.count)")
        }
        return Chunk(
            sha256: try hash(chunk.sha256, "chunk", "sha256"),
            offset: try number(chunk.offset, atMost: limits.contentBytes, "chunk", "offset"),
            bytes: chunk.bytes)
    }

    // MARK: Fields

    func hash(_ bytes: Data, _ message: String, _ field: String) throws(WireError) -> [UInt8] {
        guard bytes.count == 32 else {
            throw .invalid(
                message: message, field: field, problem: "a SHA-256 has 32 bytes, not \(bytes.count)")
        }
        return Array(bytes)
    }

    private func number(_ number: UInt64, atMost limit: Int, _ message: String, _ field: String)
        throws(WireError) -> Int
    {
        guard number <= UInt64(limit) else {
            throw .invalid(message: message, field: field, problem: "\(number) exceeds \(limit)")
        }
        return Int(number)
    }
}
