internal import Glibc

/// Writing to what is open already: a file, a pipe, a device, standard output.
public enum OpenFile {
    /// Writes all of `bytes`, in as many turns as the system takes.
    ///
    /// - Parameters:
    ///   - bytes: what is written.
    ///   - descriptor: where to.
    ///   - path: what an error calls it.
    ///   - isDevice: whether it is no file on a disk.
    /// - Throws: ``FileError``; some of the bytes may have been written.
    public static func write(
        _ bytes: some Collection<UInt8>, to descriptor: Int32, path: String, isDevice: Bool = true
    ) throws(FileError) {
        let code =
            bytes.withContiguousStorageIfAvailable { write(UnsafeRawBufferPointer($0), to: descriptor) }
            ?? Array(bytes).withUnsafeBytes { write($0, to: descriptor) }
        guard code == 0 else { throw FileError(path: path, code: code, isDevice: isDevice) }
    }

    /// - Returns: the system's error number; 0 when all is written.
    private static func write(_ bytes: UnsafeRawBufferPointer, to descriptor: Int32) -> Int32 {
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = Glibc.write(
                descriptor, UnsafeRawBufferPointer(rebasing: rest).baseAddress, rest.count)
            if count > 0 {
                rest = rest.dropFirst(count)
            } else if count == 0 {
                return EIO
            } else if errno != EINTR {
                return errno
            }
        }
        return 0
    }
}
