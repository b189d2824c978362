//! The client library: verifies before it trusts, and owns its connection.
