import Foundation
import ONNX
import Testing

/// What NumPy and ml_dtypes say that a tensor of `encodings.onnx` holds.
struct ExpectedTensor: Decodable {
    let type: String
    let shape: [Int]
    let integers: [Int64]?
    let float32Bits: [UInt32]?
    let float64Bits: [UInt64]?
    let strings: [String]?
}

@Suite("Tensors agree with NumPy's and ml_dtypes' values")
struct TensorDataTests {
    let expected: [String: ExpectedTensor]
    let tensors: [String: TensorProto]

    init() throws {
        expected = try JSONDecoder().decode(
            [String: ExpectedTensor].self, from: try Fixtures.data("encodings.json"))
        let graph = try Fixtures.model("encodings.onnx").model.graph
        tensors = Dictionary(uniqueKeysWithValues: graph.initializer.map { ($0.name, $0) })
    }

    @Test("every element type decodes bit for bit, from raw_data and from its typed field")
    func decodesEveryEncoding() throws {
        #expect(Set(tensors.keys) == Set(expected.keys))
        for (name, expected) in expected {
            let data = try TensorData(try #require(tensors[name]))
            #expect(data.elementType.name == expected.type, "\(name)")
            #expect(data.shape == expected.shape, "\(name)")
            if let integers = expected.integers { #expect(try data.int64s == integers, "\(name)") }
            if let strings = expected.strings { #expect(try data.strings == strings, "\(name)") }
            if let bits = expected.float64Bits {
                #expect(try data.doubles.map(\.bitPattern) == bits, "\(name)")
            }
            guard let bits = expected.float32Bits else { continue }
            let values = try data.floats
            #expect(values.count == bits.count, "\(name)")
            for (value, bits) in zip(values, bits)
            where Float(bitPattern: bits).isNaN || value.bitPattern != bits {
                // A NaN's payload is nobody's promise.
                #expect(value.isNaN && Float(bitPattern: bits).isNaN, "\(name): \(value) for bits \(bits)")
            }
        }
    }

    @Test("a tensor survives being made into a message and back, for every type")
    func survivesEncoding() throws {
        for (name, tensor) in tensors {
            let data = try TensorData(tensor)
            let again = TensorProto(name: name, data)
            #expect(try TensorData(again) == data, "\(name)")
            #expect(again.name == name)
        }
    }

    @Test("raw and typed encodings of the same values are the same tensor")
    func encodingsAgree() throws {
        for name in tensors.keys where name.hasSuffix("_raw") {
            let typed = try #require(tensors[name.dropLast(4) + "_typed"])
            #expect(try TensorData(try #require(tensors[name])) == TensorData(typed), "\(name)")
        }
    }

    @Test("element types have ONNX's sizes and kinds")
    func elementTypes() {
        // Sizes in bits from ONNX's TensorProto.DataType.
        let bits: [ElementType: Int] = [
            .float32: 32, .uint8: 8, .int8: 8, .uint16: 16, .int16: 16, .int32: 32, .int64: 64, .string: 0,
            .bool: 8,
            .float16: 16, .float64: 64, .uint32: 32, .uint64: 64, .complex64: 64, .complex128: 128,
            .bfloat16: 16,
            .float8E4M3FN: 8, .float8E4M3FNUZ: 8, .float8E5M2: 8, .float8E5M2FNUZ: 8, .uint4: 4, .int4: 4,
            .float4E2M1: 4, .float8E8M0: 8, .uint2: 2, .int2: 2,
        ]
        for type in ElementType.allCases {
            #expect(type.bitWidth == bits[type])
        }
        // The codes of onnx 1.23's TensorProto.DataType; the first 22 are in the messages' own declaration.
        #expect(ElementType.allCases.map(\.rawValue) == Array(1...26))
        #expect((1...22).allSatisfy { TensorProto.DataType(rawValue: $0) != nil })
        #expect(ElementType.uint2.byteCount(ofElements: 5) == 2)
        #expect(ElementType.int4.byteCount(ofElements: 15) == 8)
        #expect(ElementType.complex128.byteCount(ofElements: Int.max / 2) == nil)
        #expect(ElementType.bfloat16.isFloatingPoint && !ElementType.bfloat16.isInteger)
        #expect(ElementType.uint4.isInteger && !ElementType.bool.isInteger)
    }

    @Test("two and four bits, and powers of two, have the values that ml_dtypes gives them")
    func smallTypes() throws {
        func tensor(_ type: ElementType, _ bytes: [UInt8], _ count: Int) throws -> TensorData {
            try TensorData(elementType: type, shape: [count], bytes: Data(bytes))
        }
        // numpy: np.array([...]).view(ml_dtypes.TYPE) of onnx 1.23's packing, the first element in the lowest bits.
        #expect(try tensor(.uint2, [0b1110_0100, 0b11], 5).int64s == [0, 1, 2, 3, 3])
        #expect(try tensor(.int2, [0b1110_0100], 4).int64s == [0, 1, -2, -1])
        #expect(try tensor(.float4E2M1, [0x71, 0xFA], 4).floats == [0.5, 6, -1, -6])
        let powers = try tensor(.float8E8M0, [0, 126, 127, 254, 255], 5).floats
        #expect(powers.prefix(4) == [0x1p-127, 0.5, 1, 0x1p127] && powers[4].isNaN)
    }

    @Test("a reader for another type throws instead of converting")
    func wrongReader() throws {
        let floats = try TensorData(floats: [1, 2], shape: [2])
        #expect(throws: ModelError.self) { try floats.int64s }
        #expect(throws: ModelError.self) { try floats.strings }
        #expect(throws: ModelError.self) { try floats.bools }
        #expect(throws: ModelError.self) { try TensorData(int64s: [1], shape: []).floats }
        var large = TensorProto(name: "large", try TensorData(int64s: [-1], shape: []))
        large.dataType = Int32(ElementType.uint64.rawValue)
        #expect(throws: ModelError.self) { try TensorData(large).int64s }
    }

    @Test("sparse initialisers become dense, by linear position and by coordinate")
    func sparse() throws {
        let graph = try Fixtures.model("sparse.onnx").model.graph
        #expect(graph.sparseInitializer.isEmpty)
        #expect(graph.initializer.map(\.name) == ["linear", "coordinates"])
        for tensor in graph.initializer {
            let data = try TensorData(tensor)
            #expect(data.shape == [3, 5])
            // make-onnx-fixtures.py: dense[0, 1], dense[1, 4], dense[2, 0] = 1.5, -2.0, 3.25
            #expect(try data.floats == [0, 1.5, 0, 0, 0, 0, 0, 0, 0, -2, 3.25, 0, 0, 0, 0])
        }
    }

    @Test("raw data is shared with the message, not copied")
    func sharesRawData() throws {
        let tensor = TensorProto(
            name: "w", try TensorData(floats: [Float](repeating: 1, count: 4096), shape: [4096]))
        let data = try TensorData(tensor)
        let address = tensor.rawData.withUnsafeBytes { $0.baseAddress }
        #expect(data.bytes.withUnsafeBytes { $0.baseAddress } == address)
    }
}
