/// How an operator is linear in its weights.
package enum LinearForm: Sendable {
    /// X (N, C, D1…) with kernels (M, C/groups, k1…).
    case convolution
    /// X (N, C, D1…) with kernels (C, M/groups, k1…).
    case transposedConvolution
    /// alpha·A'·B' + beta·C.
    case gemm
    /// A stack of matrices with a matrix on either side.
    case product
}

/// What an operator does to one input where its other inputs are constants: something that can be undone, channel by channel.
package enum AffineForm: Sendable {
    /// The sum of all inputs. Of inputs that depend on data it is where branches join.
    case sum
    /// The first input less the second.
    case difference
    /// The product of two inputs.
    case product
    /// The first input divided by the second.
    case quotient
    /// Batch normalisation with a fixed mean and variance: slots for scale, shift, mean and variance follow the data.
    case batchNormalisation
    /// The first input itself.
    case identity
}

/// How the scale and the shift of a normalisation lie: vectors in slots 1 and 2, along one axis of its first input.
package enum NormalisationForm: Sendable {
    /// Along the last axes, from the attribute `axis` on.
    case lastAxes
    /// Along axis 1.
    case channels
}
