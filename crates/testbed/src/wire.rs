//! A wire between two parties that a story can cut, and make deaf in one direction. Bytes go through real sockets.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, tcp};
use tokio::sync::watch;

/// Bytes that are on a wire at most, each way.
const BUFFER: usize = 16 * 1024;
/// How many pieces of what was read at once are a millisecond apart.
const APART: usize = 16;

/// What a wire does with bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// Passes them on.
    Open,
    /// Passes on what the dialler says, and loses what it is answered.
    AnswersLost,
    /// Loses what the dialler says, and passes on what it is answered.
    AskingLost,
    /// Loses what either side says, and ends nothing: the other end has vanished without a word.
    Silent,
    /// Takes nothing more from either side: their buffers fill.
    Stalled,
    /// Ends every connection, and every new one.
    Cut,
}

#[derive(Debug, Clone, Copy)]
struct State {
    mode: Mode,
    /// How often it was cut: a connection ends with the next cut, however soon that is healed.
    cuts: u64,
    /// At most how many bytes at a time it passes on.
    piece: usize,
}

/// A wire to one address.
pub struct Wire {
    address: SocketAddr,
    state: Arc<watch::Sender<State>>,
}

impl Wire {
    /// A wire that leads to `to`.
    pub async fn to(to: SocketAddr) -> Wire {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port on loopback");
        let address = listener.local_addr().expect("a bound socket has an address");
        let state = Arc::new(watch::channel(State { mode: Mode::Open, cuts: 0, piece: BUFFER }).0);
        let states = Arc::downgrade(&state);
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                let Some(state) = states.upgrade() else { return };
                tokio::spawn(carry(near, to, state.subscribe()));
            }
        });
        Wire { address, state }
    }

    /// Where to dial it.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Ends all that goes over it, until it is healed.
    pub fn cut(&self) {
        self.state.send_modify(|state| {
            state.mode = Mode::Cut;
            state.cuts += 1;
        });
    }

    /// From now on what is asked arrives, and what is answered does not.
    pub fn lose_answers(&self) {
        self.state.send_modify(|state| state.mode = Mode::AnswersLost);
    }

    /// From now on what is said by the side that was dialled arrives, and what it is told does not.
    pub fn lose_asking(&self) {
        self.state.send_modify(|state| state.mode = Mode::AskingLost);
    }

    /// From now on nothing that anybody says arrives, and no connection ends.
    pub fn silence(&self) {
        self.state.send_modify(|state| state.mode = Mode::Silent);
    }

    /// From now on it takes nothing, and no connection ends: who reads nothing any more looks like this.
    pub fn stall(&self) {
        self.state.send_modify(|state| state.mode = Mode::Stalled);
    }

    /// From now on it passes everything on in pieces of at most so many bytes.
    pub fn in_pieces_of(&self, bytes: usize) {
        self.state.send_modify(|state| state.piece = bytes.clamp(1, BUFFER));
    }

    /// Lets everything through again.
    pub fn heal(&self) {
        self.state.send_modify(|state| state.mode = Mode::Open);
    }
}

async fn carry(near: TcpStream, to: SocketAddr, mut state: watch::Receiver<State>) {
    let begun = *state.borrow();
    if begun.mode == Mode::Cut {
        return;
    }
    let Ok(far) = TcpStream::connect(to).await else { return };
    let _ = (near.set_nodelay(true), far.set_nodelay(true));
    let (near_in, near_out) = near.into_split();
    let (far_in, far_out) = far.into_split();
    tokio::select! {
        () = pass(near_in, far_out, state.clone(), Mode::AskingLost) => {}
        () = pass(far_in, near_out, state.clone(), Mode::AnswersLost) => {}
        _ = state.wait_for(|state| state.cuts > begun.cuts) => {}
    }
}

async fn pass(mut from: tcp::OwnedReadHalf, mut to: tcp::OwnedWriteHalf, mut state: watch::Receiver<State>, lost_in: Mode) {
    let mut buffer = vec![0; BUFFER];
    loop {
        let Ok(read @ 1..) = from.read(&mut buffer).await else { return };
        // The world may be gone before its wires are.
        let Ok(now) = state.wait_for(|state| state.mode != Mode::Stalled).await.map(|state| *state) else { return };
        if now.mode == lost_in || now.mode == Mode::Silent {
            continue;
        }
        // No delay (see `carry`): each piece is a packet of its own. The first of them come so far apart that whoever reads
        // meets them one by one; after those, speed counts.
        for (number, piece) in buffer[..read].chunks(now.piece).enumerate() {
            if to.write_all(piece).await.is_err() {
                return;
            }
            if now.piece < BUFFER && number < APART {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
    }
}
