internal import ComputationGraph
internal import Foundation

/// Arrays of numbers as little-endian bytes. Little-endian machines only need a copy; on others the bytes are turned.
enum PackedArray {
    static func encode(_ numbers: [UInt32]) -> Data {
        #if _endian(little)
            return numbers.withUnsafeBytes { Data($0) }
        #else
            return numbers.map(\.littleEndian).withUnsafeBytes { Data($0) }
        #endif
    }

    /// - Precondition: the number of bytes is a multiple of 4.
    static func decode(_ data: Data) -> [UInt32] {
        precondition(data.count % 4 == 0, "\(data.count) bytes are no array of 32-bit numbers")
        let numbers = [UInt32](unsafeUninitializedCapacity: data.count / 4) { buffer, count in
            copy(data, to: buffer)
            count = data.count / 4
        }
        #if _endian(little)
            return numbers
        #else
            return numbers.map(UInt32.init(littleEndian:))
        #endif
    }

    /// `Data.copyBytes` is generic, and takes longer for a few numbers than the rest of a message.
    private static func copy<Number>(_ data: Data, to buffer: UnsafeMutableBufferPointer<Number>) {
        data.withUnsafeBytes { UnsafeMutableRawBufferPointer(buffer).copyMemory(from: $0) }
    }

    /// The rows of a matrix of losses, bit for bit.
    static func encode(_ rows: [[Float]]) -> Data {
        #if _endian(little)
            var data = Data(capacity: rows.reduce(0) { $0 + $1.count } * 4)
            for row in rows { row.withUnsafeBytes { data.append(contentsOf: $0) } }
            return data
        #else
            return encode(rows.joined().map(\.bitPattern))
        #endif
    }

    static func decodeFloats(_ data: Data) -> [Float] {
        #if _endian(little)
            precondition(data.count % 4 == 0, "\(data.count) bytes are no array of 32-bit numbers")
            return [Float](unsafeUninitializedCapacity: data.count / 4) { buffer, count in
                copy(data, to: buffer)
                count = data.count / 4
            }
        #else
            return decode(data).map(Float.init(bitPattern:))
        #endif
    }

    /// Stands for "no edge": the state itself.
    private static let noEdge = UInt32.max

    /// Node and slot of each edge.
    static func encode(_ edges: [Edge?]) -> Data {
        var numbers: [UInt32] = []
        numbers.reserveCapacity(edges.count * 2)
        for edge in edges {
            numbers.append(edge.map { UInt32(clamping: $0.node) } ?? noEdge)
            numbers.append(edge.map { UInt32(clamping: $0.slot) } ?? noEdge)
        }
        return encode(numbers)
    }

    /// - Precondition: the number of bytes is a multiple of 8.
    static func decodeEdges(_ data: Data) -> [Edge?] {
        let numbers = decode(data)
        return stride(from: 0, to: numbers.count, by: 2).map { index in
            let (node, slot) = (numbers[index], numbers[index + 1])
            return node == noEdge && slot == noEdge ? nil : Edge(node: Int(node), slot: Int(slot))
        }
    }
}
