import Foundation
import Testing
import ZeroMQ

@testable import Cluster

/// Keys on disk.
@Suite struct KeyTests {
    private func withFolder(_ body: (String) throws -> Void) throws {
        let path = NSTemporaryDirectory() + "/espalier-test-\(UInt64.random(in: 0 ... .max))"
        defer { try? FileManager.default.removeItem(atPath: path) }
        try body(path)
    }

    private func mode(_ path: String) throws -> Int? {
        (try FileManager.default.attributesOfItem(atPath: path)[.posixPermissions] as? NSNumber)?.intValue
    }

    @Test func bothSidesReadWhatWasMade() throws {
        try withFolder { folder in
            let made = try KeyGeneration(in: folder)
            #expect(made.madeCoordinator)
            for place in [folder, folder + "/coordinator"] {
                let coordinator = try CoordinatorKeys(folder: place)
                for own in [folder, folder + "/worker"] {
                    let worker = try WorkerKeys(folder: own)
                    #expect(try coordinator.secretKey.publicKey() == worker.coordinator)
                    #expect(coordinator.allowed == [worker.own.publicKey])
                }
            }
        }
    }

    @Test func secretsArePrivate() throws {
        try withFolder { folder in
            _ = try KeyGeneration(in: folder)
            for place in ["coordinator", "worker"] {
                #expect(try mode("\(folder)/\(place)") == 0o700)
                #expect(try mode("\(folder)/\(place)/secret.key") == 0o600)
            }
        }
    }

    @Test func nothingIsOverwrittenAndWorkersCanBeAdded() throws {
        try withFolder { folder in
            _ = try KeyGeneration(in: folder)
            let before = try CoordinatorKeys(folder: folder)
            #expect(throws: ClusterError.self) { try KeyGeneration(in: folder) }
            let added = try KeyGeneration(in: folder, worker: "gpu7")
            #expect(!added.madeCoordinator)
            let after = try CoordinatorKeys(folder: folder)
            #expect(after.secretKey == before.secretKey)
            #expect(after.allowed.count == 2 && after.allowed.isSuperset(of: before.allowed))
            #expect(try WorkerKeys(folder: folder + "/gpu7").coordinator == before.secretKey.publicKey())
        }
    }

    @Test(arguments: ["", "coordinator", "..", "a/b", "-\n"]) func oddNamesAreRefused(name: String) throws {
        try withFolder { folder in
            #expect(throws: ClusterError.self) { try KeyGeneration(in: folder, worker: name) }
            #expect(!FileManager.default.fileExists(atPath: folder))
        }
    }

    @Test func aSecretThatOthersCanReadIsRefusedWithTheCommandThatHelps() throws {
        try withFolder { folder in
            _ = try KeyGeneration(in: folder)
            let path = folder + "/worker/secret.key"
            for open in [0o640, 0o604, 0o644, 0o660] {
                try FileManager.default.setAttributes([.posixPermissions: open], ofItemAtPath: path)
                let error = #expect(throws: ClusterError.self) { try WorkerKeys(folder: folder + "/worker") }
                #expect(error?.description.contains("chmod 600 \(path)") == true)
            }
        }
    }

    @Test func aFolderInWhichOthersCanAuthorizeIsRefused() throws {
        try withFolder { folder in
            _ = try KeyGeneration(in: folder)
            let path = folder + "/coordinator/authorized"
            try FileManager.default.setAttributes([.posixPermissions: 0o770], ofItemAtPath: path)
            let error = #expect(throws: ClusterError.self) { try CoordinatorKeys(folder: folder) }
            #expect(error?.description.contains("chmod go-w \(path)") == true)
        }
    }

    @Test(arguments: ["", "short\n", "one\ntwo\n", String(repeating: "~", count: 40)])
    func whatIsNoKeyIsNamedAndNotRepeated(text: String) throws {
        try withFolder { folder in
            _ = try KeyGeneration(in: folder)
            let path = folder + "/worker/coordinator.key"
            try text.write(toFile: path, atomically: true, encoding: .utf8)
            let error = #expect(throws: ClusterError.self) { try WorkerKeys(folder: folder) }
            #expect(error?.description.hasPrefix(path) == true)
        }
    }
}
