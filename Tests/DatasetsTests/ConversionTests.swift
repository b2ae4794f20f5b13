import Testing

@testable import Datasets

/// Conversions keep values or say which value does not fit.
struct ConversionTests {
    @Test func shapeAndBytesMustAgree() {
        #expect(throws: DatasetError.self) { try NumpyArray(shape: [2, 3], values: [1, 2] as [Float]) }
        #expect(throws: DatasetError.self) { try NumpyArray(shape: [.max, 2], values: [] as [Float]) }
        #expect(throws: DatasetError.self) { try NumpyArray(shape: [-1, -1], values: [1] as [Float]) }
    }

    @Test func float64NarrowsUnlessItOverflows() throws {
        let fits = try NumpyArray(shape: [3], values: [0.1, -1e300 * 0, .infinity] as [Double])
        // 0x3DCCCCCD is 0.1 rounded to float32 (IEEE 754).
        #expect(try fits.floats() == [Float(bitPattern: 0x3DCC_CCCD), 0, .infinity])
        let large = try NumpyArray(shape: [2, 2], values: [0, 0, 0, 1e39] as [Double])
        let error = #expect(throws: DatasetError.self) { try large.floats() }
        #expect(error?.kind == .invalidValue)
        #expect(error?.description.contains("sample 1, index [1]") == true)
        #expect(throws: DatasetError.self) {
            try NumpyArray(shape: [1], values: [65520] as [Float]).converted(to: .float16)
        }
    }

    @Test func integersConvertWhereTheyFit() throws {
        let array = try NumpyArray(shape: [2], values: [-1, 300] as [Int16])
        #expect(try array.converted(to: .int64) == NumpyArray(shape: [2], values: [-1, 300] as [Int64]))
        for type in [NumpyElementType.uint8, .int8, .uint16, .uint64] {
            let error = #expect(throws: DatasetError.self) { try array.converted(to: type) }
            #expect(error?.kind == .invalidValue)
        }
        #expect(throws: DatasetError.self) {
            try NumpyArray(shape: [1], values: [UInt64.max]).int64s()
        }
        // 2^24 + 1 is the first integer that float32 lacks.
        #expect(throws: DatasetError.self) {
            try NumpyArray(shape: [1], values: [16_777_217] as [Int32]).floats()
        }
        #expect(try NumpyArray(shape: [1], values: [16_777_216] as [Int32]).floats() == [16_777_216])
    }

    @Test func kindsDoNotMix() throws {
        let floats = try NumpyArray(shape: [1], values: [1] as [Float])
        let integers = try NumpyArray(shape: [1], values: [1] as [Int32])
        let booleans = try NumpyArray(shape: [1], elementType: .bool, bytes: [1])
        for (array, type) in [
            (floats, NumpyElementType.int64), (integers, .float32), (booleans, .int64), (integers, .bool),
        ] {
            let error = #expect(throws: DatasetError.self) { try array.converted(to: type) }
            #expect(error?.kind == .elementTypeMismatch)
        }
    }

    @Test func findsWhatIsNotFinite() throws {
        #expect(
            try NumpyArray(shape: [3], values: [1, .greatestFiniteMagnitude, .nan] as [Float])
                .firstNonFiniteIndex() == 2)
        #expect(try NumpyArray(shape: [2], values: [-.infinity, 1] as [Double]).firstNonFiniteIndex() == 0)
        #expect(
            try NumpyArray(shape: [2], values: [65504, -.infinity] as [Float16]).firstNonFiniteIndex() == 1)
        #expect(try NumpyArray(shape: [1], values: [-1] as [Int64]).firstNonFiniteIndex() == nil)
    }
}
