//! Client of the agent's node-local Unix socket.
