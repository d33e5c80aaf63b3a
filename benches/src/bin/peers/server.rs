//! A server that listens on TCP, as the clients of some peers know nothing else.

use std::net::TcpListener;

use support::Server;

pub struct Tcp {
    pub server: Server,
    port: u16,
}

impl Tcp {
    pub async fn start() -> Self {
        // A free one; whoever takes it meanwhile makes the start fail.
        let free = TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr());
        let port = free.expect("a free port").port();
        let options = ["--port", &port.to_string(), "--bind", "127.0.0.1"];
        Self { server: Server::start_with(&options).await, port }
    }

    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }
}
