//! A wire between two parties that a story can cut, and make deaf in one direction. Bytes go through real sockets.

use std::net::SocketAddr;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, tcp};
use tokio::sync::watch;

/// What a wire does with bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// Passes them on.
    Open,
    /// Passes on what the dialler says, and keeps what it is answered: the answers of what was done are lost.
    AnswersLost,
    /// Ends every connection, and every new one.
    Cut,
}

/// A wire to one address.
pub struct Wire {
    address: SocketAddr,
    mode: Arc<watch::Sender<Mode>>,
}

impl Wire {
    /// A wire that leads to `to`.
    pub async fn to(to: SocketAddr) -> Wire {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port on loopback");
        let address = listener.local_addr().expect("a bound socket has an address");
        let mode = Arc::new(watch::channel(Mode::Open).0);
        let modes = Arc::downgrade(&mode);
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                let Some(mode) = modes.upgrade() else { return };
                tokio::spawn(carry(near, to, mode.subscribe()));
            }
        });
        Wire { address, mode }
    }

    /// Where to dial it.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Ends all that goes over it, until it is healed.
    pub fn cut(&self) {
        self.mode.send_replace(Mode::Cut);
    }

    /// From now on what is asked arrives, and what is answered does not.
    pub fn lose_answers(&self) {
        self.mode.send_replace(Mode::AnswersLost);
    }

    /// Lets everything through again.
    pub fn heal(&self) {
        self.mode.send_replace(Mode::Open);
    }
}

async fn carry(near: TcpStream, to: SocketAddr, mut mode: watch::Receiver<Mode>) {
    if *mode.borrow() == Mode::Cut {
        return;
    }
    let Ok(far) = TcpStream::connect(to).await else { return };
    let _ = (near.set_nodelay(true), far.set_nodelay(true));
    let (near_in, near_out) = near.into_split();
    let (far_in, far_out) = far.into_split();
    tokio::select! {
        () = pass(near_in, far_out, mode.clone(), false) => {}
        () = pass(far_in, near_out, mode.clone(), true) => {}
        _ = mode.wait_for(|mode| *mode == Mode::Cut) => {}
    }
}

async fn pass(mut from: tcp::OwnedReadHalf, mut to: tcp::OwnedWriteHalf, mode: watch::Receiver<Mode>, is_answer: bool) {
    let mut buffer = vec![0; 16 * 1024];
    loop {
        let Ok(read @ 1..) = from.read(&mut buffer).await else { return };
        if is_answer && *mode.borrow() == Mode::AnswersLost {
            continue;
        }
        if to.write_all(&buffer[..read]).await.is_err() {
            return;
        }
    }
}
