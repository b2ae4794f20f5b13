internal import CZeroMQ

extension SocketOption where Value == Duration {
    static func milliseconds(_ name: String, _ code: Int32) -> Self { scaled(name, code, by: 1000) }

    static func seconds(_ name: String, _ code: Int32) -> Self { scaled(name, code, by: 1) }

    private static func scaled(_ name: String, _ code: Int32, by unitsPerSecond: Int64) -> Self {
        Self(name: name, code: code, capacity: 4) { duration in
            nativeBytes(Int32(clamping: duration.roundedUp(unitsPerSecond: unitsPerSecond)))
        } decode: { bytes in
            native(bytes, as: Int32.self).map { .milliseconds(Int64($0) * 1000 / unitsPerSecond) }
        }
    }
}

extension SocketOption where Value == Int {
    static func int32(_ name: String, _ code: Int32) -> Self {
        Self(name: name, code: code, capacity: 4) {
            nativeBytes(Int32(clamping: $0))
        } decode: {
            native($0, as: Int32.self).map { Int($0) }
        }
    }

    static func int64(_ name: String, _ code: Int32) -> Self {
        Self(name: name, code: code, capacity: 8) {
            nativeBytes(Int64($0))
        } decode: {
            native($0, as: Int64.self).map { Int($0) }
        }
    }
}

extension SocketOption where Value == Bool {
    static func flag(_ name: String, _ code: Int32) -> Self {
        Self(name: name, code: code, capacity: 4) {
            nativeBytes(Int32($0 ? 1 : 0))
        } decode: {
            native($0, as: Int32.self).map { $0 > 0 }
        }
    }
}

extension SocketOption where Value == String {
    static func text(_ name: String, _ code: Int32) -> Self {
        Self(name: name, code: code, capacity: 4096) {
            Array($0.utf8)
        } decode: {
            // libzmq ends texts with a zero byte.
            String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self)
        }
    }
}

extension SocketOption where Value == [UInt8] {
    static func bytes(_ name: String, _ code: Int32) -> Self {
        Self(name: name, code: code, capacity: 256) {
            $0
        } decode: {
            $0
        }
    }
}

extension Socket {
    /// Sets an option.
    ///
    /// - Throws: `ZeroMQError` (`EINVAL`) for a value out of range.
    public func set<Value>(_ option: SocketOption<Value>, _ value: Value) throws(ZeroMQError) {
        let bytes = option.encode(value)
        try call("set \(option.name) of a \(kind.rawValue) socket") {
            zmq_setsockopt($0, option.code, bytes, bytes.count)
        }
    }

    /// Reads an option.
    ///
    /// - Throws: `ZeroMQError`.
    public func get<Value>(_ option: SocketOption<Value>) throws(ZeroMQError) -> Value {
        let action = "read \(option.name) of a \(kind.rawValue) socket"
        var buffer = [UInt8](repeating: 0, count: option.capacity)
        var count = buffer.count
        try call(action) {
            count = buffer.count
            return zmq_getsockopt($0, option.code, &buffer, &count)
        }
        guard let value = option.decode(Array(buffer.prefix(count))) else {
            throw ZeroMQError(EINVAL, action, reason: "libzmq gave \(count) bytes")
        }
        return value
    }

    /// The endpoint last bound or connected to, with the port that the system chose for `tcp://*:0`.
    ///
    /// - Throws: `ZeroMQError`.
    public func lastEndpoint() throws(ZeroMQError) -> String { try get(.lastEndpoint) }
}

extension Duration {
    /// The duration in a unit, rounded up; 0 for negative ones, `Int64.max` for what does not fit.
    func roundedUp(unitsPerSecond: Int64) -> Int64 {
        guard self > .zero else { return 0 }
        let (seconds, attoseconds) = components
        let unit = 1_000_000_000_000_000_000 / unitsPerSecond
        let (whole, overflow) = seconds.multipliedReportingOverflow(by: unitsPerSecond)
        let part = attoseconds / unit + (attoseconds % unit == 0 ? 0 : 1)
        let (sum, overflowed) = whole.addingReportingOverflow(part)
        return overflow || overflowed ? .max : sum
    }
}

private func nativeBytes<Integer: FixedWidthInteger>(_ value: Integer) -> [UInt8] {
    withUnsafeBytes(of: value) { Array($0) }
}

private func native<Integer: FixedWidthInteger & BitwiseCopyable>(
    _ bytes: [UInt8], as type: Integer.Type
) -> Integer? {
    bytes.count == MemoryLayout<Integer>.size
        ? bytes.withUnsafeBytes { $0.loadUnaligned(as: Integer.self) } : nil
}
