import Testing

/// The tests of everything under gates, one after the other: Debian's serial OpenBLAS, which libtorch may come with,
/// must not be called by two threads at once.
@Suite(.serialized) enum GateTests {}
