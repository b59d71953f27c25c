//! Two ways into the world: a loopback socket, and an HTTP client that never opens one.
