//! Generated gRPC of the control plane.
