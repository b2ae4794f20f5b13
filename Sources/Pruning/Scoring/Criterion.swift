/// A cheap estimate of how much an edge matters. For all of them, a smaller score is to be removed sooner.
public enum Criterion: String, Sendable, Hashable, CaseIterable, Codable {
    /// −g: the first Taylor term in gate space (Molchanov et al., 2017 and 2019).
    case taylor1
    /// −g + ½ H_ee: the second order with the Hessian's diagonal (LeCun, Denker and Solla, "Optimal Brain Damage",
    /// 1990).
    case taylor2
    /// −g + ½ Σ_f H_ef: the edge's share of the second-order change of removing all candidates, with the full Hessian
    /// (after Hassibi and Stork, "Optimal Brain Surgeon", 1993, which keeps the off-diagonal terms).
    case taylor2Full = "taylor2-full"
    /// ½ · the mean of the squared per-sample gradients: the diagonal of the empirical Fisher information in the
    /// Hessian's place, at a minimum where the gradient vanishes (Theis et al., "Faster gaze prediction with dense
    /// networks and Fisher pruning", 2018, equation 8).
    case fisher
    /// −g + ½ G_ee with the Gauss-Newton matrix G in the Hessian's place (Schraudolph, 2002).
    case gaussNewton = "gauss-newton"
    /// The information that passes the edge, in nats per sample, from a single forward pass (coding rate: Ma et al.,
    /// 2007; Yu et al., 2020). Needs no labels and no gradients.
    case flow
    /// The L2 norm of the weights that feed the edge (after Li et al., 2017).
    case magnitude
    /// The gate's derivative of the summed outputs for an input of ones and weights replaced by their magnitudes
    /// (Tanaka et al., 2020). Needs no data.
    case synflow
    /// A number drawn at random: the baseline.
    case random

    /// What is used where an operator lacks the derivative that this criterion needs; `nil` where none is needed.
    var fallback: Criterion? {
        switch self {
        case .taylor2, .taylor2Full, .gaussNewton, .fisher: .taylor1
        case .taylor1, .synflow: .flow
        case .flow, .magnitude, .random: nil
        }
    }
}
