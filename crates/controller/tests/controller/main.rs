//! The controller as its callers see it: gRPC in, rows, processes, routes and the agent's ear out.
//!
//! Real: store, sockets, blobs, measured copies, namespaces, processes. Two stand-ins: the agent, which says yes and
//! remembers, and the facade, a shell script that keeps the launch contract and ends as the test wants.
#![allow(clippy::unwrap_used)]

mod crashes;
mod leftovers;
mod licences;
mod reasons;
mod starts;
mod world;
