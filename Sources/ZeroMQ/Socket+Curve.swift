extension Socket {
    /// Encrypts all connections, as the side that listens; call it before `bind`.
    ///
    /// - Parameters:
    ///   - secretKey: The server's secret key; clients need its public one.
    ///   - authenticator: Decides which clients may connect; the socket keeps it. With nil, *every* client that
    ///     knows the server's public key may.
    ///   - domain: What the authenticator sees as the name of this group of sockets.
    /// - Throws: `ZeroMQError`.
    public func useCurve(
        secretKey: CurveSecretKey, authenticator: ZAPAuthenticator?, domain: String = "espalier"
    ) throws(ZeroMQError) {
        try set(.curveServer, true)
        try set(.curveSecretKey, secretKey.bytes)
        guard let authenticator else { return }
        precondition(
            authenticator.context === context, "an authenticator serves the sockets of its own context only")
        try set(.zapDomain, domain)
        self.authenticator = authenticator
    }

    /// Encrypts all connections, as the side that connects; call it before `connect`.
    ///
    /// - Parameters:
    ///   - keys: The client's keys; the server may ask for its public one.
    ///   - serverKey: The public key that the server must have.
    /// - Throws: `ZeroMQError`.
    public func useCurve(keys: CurveKeyPair, serverKey: CurvePublicKey) throws(ZeroMQError) {
        try set(.curvePublicKey, keys.publicKey.bytes)
        try set(.curveSecretKey, keys.secretKey.bytes)
        try set(.curveServerKey, serverKey.bytes)
    }
}
