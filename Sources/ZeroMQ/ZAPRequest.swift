/// A question that libzmq asks before it lets a peer in (ZeroMQ Authentication Protocol, RFC 27, version 1.0).
struct ZAPRequest: Hashable, Sendable {
    let requestID: Frame
    let domain: String
    let address: String
    let mechanism: String
    /// The peer's key; nil unless the mechanism is CURVE.
    let publicKey: CurvePublicKey?

    /// Reads a request's frames: version, request id, domain, address, identity, mechanism, credentials.
    ///
    /// - Returns: nil for frames of any other form.
    init?(frames: [Frame]) {
        guard frames.count >= 6, frames[0] == Frame("1.0") else { return nil }
        requestID = frames[1]
        domain = String(decoding: frames[2].bytes, as: UTF8.self)
        address = String(decoding: frames[3].bytes, as: UTF8.self)
        mechanism = String(decoding: frames[5].bytes, as: UTF8.self)
        publicKey =
            mechanism == "CURVE" && frames.count == 7 ? try? CurvePublicKey(bytes: frames[6].bytes) : nil
    }

    /// The frames of the answer: version, request id, status code, status text, user id, metadata.
    func reply(isAllowed: Bool) -> [Frame] {
        [
            Frame("1.0"), requestID, Frame(isAllowed ? "200" : "400"),
            Frame(isAllowed ? "OK" : "key not allowed"),
            Frame(isAllowed ? publicKey?.z85 ?? "" : ""), Frame([]),
        ]
    }

    /// The answer to frames that are no request.
    static let malformedReply = [
        Frame("1.0"), Frame([]), Frame("500"), Frame("malformed request"), Frame([]), Frame([]),
    ]
}

/// A peer that was not let in.
public struct ZAPDenial: Hashable, Sendable {
    /// The peer's network address.
    public let address: String
    /// The group of sockets that it wanted to reach.
    public let domain: String
    /// The security mechanism that it used: `CURVE`, `PLAIN`, `NULL`.
    public let mechanism: String
    /// Its public key, if it had one.
    public let publicKey: CurvePublicKey?
}
