//! Key packages laid out by hand, as RFC 9420 §10 and §7.2 have them: what a server verifies is not made by the library that it verifies with, and
//! whatever can be wrong with one can be made wrong.

use crate::support::{Person, device};
use bytes::Bytes;
use ed25519_dalek::{Signer, SigningKey};
use tidings_proto::{Hash, UserName};

/// A key package to be made. The numbers are those of RFC 9420 §17.
#[derive(Clone)]
pub struct Made {
    pub user: UserName,
    /// The version of the device list that it names.
    pub list: u64,
    pub device: SigningKey,
    /// Whose signatures are in it: the leaf's, and the whole's.
    pub signers: [SigningKey; 2],
    /// Which of many.
    pub which: usize,
    pub version: u16,
    pub suite: u16,
    pub lifetime: (u64, u64),
    /// What it says that it can do: versions, ciphersuites, extensions, proposals, credentials.
    pub can: [Vec<u16>; 5],
    pub last_resort: bool,
    /// Whether the key that a Welcome is sealed to is the leaf's own.
    pub one_key: bool,
    /// So many bytes of an extension that says nothing.
    pub padding: usize,
}

const ROSTER: u16 = tidings_trust::mls::ROSTER;
const LAST_RESORT: u16 = 0x000a;
const PADDING: u16 = 0xf7ff;

impl Made {
    /// One of somebody's first device, to be used once.
    pub fn of(who: &Person, which: usize) -> Made {
        Made::by(&who.name, &who.devices[0], which)
    }

    /// One of a device of the first list.
    pub fn by(user: &UserName, device: &SigningKey, which: usize) -> Made {
        Made {
            user: user.clone(),
            list: 1,
            device: device.clone(),
            signers: [device.clone(), device.clone()],
            which,
            version: 1,
            suite: 1,
            lifetime: (0, u64::MAX),
            can: [vec![1], vec![1], vec![ROSTER, LAST_RESORT, PADDING], vec![], vec![1]],
            last_resort: false,
            one_key: false,
            padding: 0,
        }
    }

    /// The one of last resort.
    pub fn last_resort(self) -> Made {
        Made { last_resort: true, ..self }
    }

    /// The same, so many bytes long.
    pub fn sized(self, size: usize) -> Bytes {
        // The extension's two lengths, and those around it, grow by the padding; this many tries find the fit.
        let fits = |padding: usize| Made { padding, ..self.clone() }.bytes();
        let base = fits(100).len() - 100;
        (0..8).map(|off| fits(size.saturating_sub(base + off))).find(|made| made.len() == size).expect("a size that can be had")
    }

    /// An MLSMessage with it.
    pub fn bytes(&self) -> Bytes {
        let key = |what: &str| Hash::of(format!("{what} {} {}", self.user, self.which).as_bytes()).0;
        let (encryption, init) = (key("leaf"), if self.one_key { key("leaf") } else { key("init") });
        let mut leaf = [opaque(&encryption), opaque(&device(&self.device).0)].concat();
        let mut identity = minicbor::Encoder::new(Vec::new());
        identity.map(2).unwrap().u8(0).unwrap().str(&self.user.to_string()).unwrap().u8(1).unwrap().u64(self.list).unwrap();
        leaf.extend(1u16.to_be_bytes()); // a basic credential
        leaf.extend(opaque(&identity.into_writer()));
        for able in &self.can {
            leaf.extend(opaque(&able.iter().flat_map(|number| number.to_be_bytes()).collect::<Vec<u8>>()));
        }
        leaf.push(1); // it comes by a key package
        leaf.extend(self.lifetime.0.to_be_bytes());
        leaf.extend(self.lifetime.1.to_be_bytes());
        leaf.extend(opaque(&[])); // no extensions of the leaf
        leaf.extend(opaque(&signed(&self.signers[0], "LeafNodeTBS", &leaf)));

        let mut whole = [self.version.to_be_bytes(), self.suite.to_be_bytes()].concat();
        whole.extend([opaque(&init), leaf].concat());
        let mut extensions = Vec::new();
        if self.last_resort {
            extensions.extend([LAST_RESORT.to_be_bytes().to_vec(), opaque(&[])].concat());
        }
        if self.padding > 0 {
            extensions.extend([PADDING.to_be_bytes().to_vec(), opaque(&vec![7; self.padding])].concat());
        }
        whole.extend(opaque(&extensions));
        whole.extend(opaque(&signed(&self.signers[1], "KeyPackageTBS", &whole)));
        // MLS 1.0, and a key package.
        [vec![0, 1, 0, 5], whole].concat().into()
    }
}

/// SignWithLabel (RFC 9420 §5.1.2).
fn signed(key: &SigningKey, label: &str, content: &[u8]) -> [u8; 64] {
    let content = [opaque(format!("MLS 1.0 {label}").as_bytes()), opaque(content)].concat();
    key.sign(&content).to_bytes()
}

/// A vector with its length (RFC 9420 §2.1.2).
fn opaque(bytes: &[u8]) -> Vec<u8> {
    let length = match bytes.len() {
        short @ 0..64 => vec![short as u8],
        middle @ 64..16384 => (middle as u16 | 0x4000).to_be_bytes().to_vec(),
        long => (long as u32 | 0x8000_0000).to_be_bytes().to_vec(),
    };
    [length, bytes.to_vec()].concat()
}
