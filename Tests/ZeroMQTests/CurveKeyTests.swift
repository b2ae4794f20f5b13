import Testing

@testable import ZeroMQ

/// Keys are read and written as the standards say.
struct CurveKeyTests {
    @Test func z85AgreesWithTheStandard() throws {
        // The test case of ZeroMQ RFC 32.
        let bytes: [UInt8] = [0x86, 0x4F, 0xD2, 0x6F, 0xB5, 0x59, 0xF7, 0x5B]
        #expect(try Z85.encode(bytes) == "HelloWorld")
        #expect(try Z85.decode("HelloWorld") == bytes)
        #expect(try Z85.encode([]) == "")
        #expect(try Z85.decode("") == [])
    }

    @Test func badZ85IsAnError() {
        for text in ["Hello\0orld", "Hell", "Hello Worl", "\u{7F}ello", "größe", "#####"] {
            #expect(throws: ZeroMQError.self, "\(text)") { try Z85.decode(text) }
        }
        #expect(throws: ZeroMQError.self) { try Z85.encode([1, 2, 3]) }
    }

    @Test func publicKeysFollowFromSecretOnes() throws {
        // The client's keys in the manual page zmq_curve(7) of libzmq.
        let secret = try CurveSecretKey(z85: "D:)Q[IlAW!ahhC2ac:9*A}h:p?([4%wOTJ%JR%cs")
        #expect(try secret.publicKey().z85 == "Yne@$w-vo<fVvi]a<NY6T1ed:M$fCG*[IaLV{hID")
        #expect(
            try CurveKeyPair(secretKey: secret).publicKey
                == CurvePublicKey(z85: "Yne@$w-vo<fVvi]a<NY6T1ed:M$fCG*[IaLV{hID"))
        let pair = try CurveKeyPair.generate()
        #expect(try pair.secretKey.publicKey() == pair.publicKey)
        #expect(try CurveKeyPair.generate() != pair)
    }

    @Test func badKeysAreErrorsThatDoNotRepeatThem() throws {
        for text in ["", "HelloWorld", String(repeating: "~", count: 40)] {
            let error = #expect(throws: ZeroMQError.self) { try CurveSecretKey(z85: text) }
            #expect(text.isEmpty || error?.description.contains(text) == false)
        }
        #expect(throws: ZeroMQError.self) { try CurvePublicKey(bytes: [1, 2, 3]) }
        let pair = try CurveKeyPair.generate()
        var dumped = ""
        dump(pair, to: &dumped)
        #expect(!"\(pair) \(pair.secretKey) \(dumped)".contains(pair.secretKey.z85))
    }
}
