import Testing
import Work

@Suite("Bytes of payloads and results")
struct BytesTests {
    @Test func whatIsWrittenIsReadBack() throws {
        var writer = ByteWriter()
        writer.write(UInt8(7))
        writer.write(123_456)
        writer.write("ü: 31:0=mean")
        writer.write([3, 1, 2])
        writer.write(raw: [Float.infinity, -0.0, 1.5])
        writer.write(raw: [Double.pi])
        writer.write(raw: [UInt32.max])
        var reader = ByteReader(writer.bytes)
        #expect(try reader.byte() == 7)
        #expect(try reader.number() == 123_456)
        #expect(try reader.text() == "ü: 31:0=mean")
        #expect(try reader.numbers() == [3, 1, 2])
        let floats = try reader.floats(3)
        #expect(floats.map(\.bitPattern) == [Float.infinity, -0.0, 1.5].map(\.bitPattern))
        #expect(try reader.doubles(1) == [Double.pi])
        #expect(try reader.numbers32(1) == [UInt32.max])
        try reader.finish()
    }

    /// Little-endian, as two machines agree on.
    @Test func numbersAreLittleEndian() {
        var writer = ByteWriter()
        writer.write(0x0102_0304)
        writer.write(raw: [Float(1)])
        #expect(writer.bytes == [4, 3, 2, 1, 0, 0, 0x80, 0x3F])
    }

    @Test func whatEndsTooEarlyIsAnErrorAndNoCrash() throws {
        var writer = ByteWriter()
        writer.write("text")
        writer.write([1, 2, 3])
        for count in 0..<writer.bytes.count {
            var reader = ByteReader(Array(writer.bytes.prefix(count)))
            #expect(throws: WorkMismatch.self) {
                _ = try reader.text()
                _ = try reader.numbers()
            }
        }
        var huge = ByteReader([0xFF, 0xFF, 0xFF, 0xFF])
        #expect(throws: WorkMismatch.self) { _ = try huge.numbers() }
        var text = ByteReader([2, 0, 0, 0, 0xFF, 0xFE])
        #expect(throws: WorkMismatch.self) { _ = try text.text() }
        #expect(throws: WorkMismatch.self) {
            let rest = ByteReader([1])
            try rest.finish()
        }
    }
}
