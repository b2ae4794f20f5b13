import Foundation

/// libFuzzer's entry, from the compiler's own runtime.
@_silgen_name("LLVMFuzzerRunDriver")
private func runDriver(
    _ count: UnsafeMutablePointer<Int32>,
    _ arguments: UnsafeMutablePointer<UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>>,
    _ test: @convention(c) (UnsafePointer<UInt8>?, Int) -> Int32
) -> Int32

/// `espalier-fuzz TARGET [libFuzzer's options and corpus folders]`: gives a decoder bytes that nobody meant for it.
/// Whatever traps, hangs, or takes more memory than it may is a defect.
@main struct Fuzz {
    static func main() {
        let name = CommandLine.arguments.dropFirst().first ?? ""
        var arguments = [CommandLine.arguments[0]] + CommandLine.arguments.dropFirst(2)
        if name == "seeds", let folder = arguments.popLast() { return Targets.writeSeeds(to: folder) }
        var pointers: [UnsafeMutablePointer<CChar>?] = arguments.map { strdup($0) } + [nil]
        var count = Int32(arguments.count)
        let status = pointers.withUnsafeMutableBufferPointer { buffer -> Int32 in
            guard var base = buffer.baseAddress else { return 70 }
            switch name {
            case "wire": return runDriver(&count, &base) { Targets.wire(Targets.data($0, $1)) }
            case "onnx": return runDriver(&count, &base) { Targets.onnx(Targets.data($0, $1)) }
            case "npz": return runDriver(&count, &base) { Targets.npz(Targets.data($0, $1)) }
            case "machines": return runDriver(&count, &base) { Targets.machines(Targets.data($0, $1)) }
            case "journal": return runDriver(&count, &base) { Targets.journal(Targets.data($0, $1)) }
            case "inspect": return runDriver(&count, &base) { Targets.inspect(Targets.data($0, $1)) }
            case "evaluate": return runDriver(&count, &base) { Targets.evaluate(Targets.data($0, $1)) }
            default:
                print("usage: Scripts/fuzz wire|machines|onnx|npz|journal|inspect|evaluate [--runs N]")
                return 64
            }
        }
        exit(status)
    }
}
