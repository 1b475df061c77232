//! A second, independent reading of CBOR to hold the validator against: a value, its one canonical encoding, a lenient
//! parser, and ways to spoil an encoding.
//!
//! Not a decoder for use: it recurses as deep as its input says, and the tests keep that small.

use proptest::prelude::*;

/// A value that our subset of CBOR can say, and spoiled bytes in a value's place.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    Unsigned(u64),
    Negative(u64),
    Bytes(Vec<u8>),
    Text(String),
    Array(Vec<Value>),
    /// In any order; encoded sorted, doubles dropped.
    Map(Vec<(Value, Value)>),
    Simple(u8),
    Spoiled(Vec<u8>),
}

/// The head of an item, in the shortest form or in one `wider` than that.
pub fn head(major: u8, argument: u64, wider: usize) -> Option<Vec<u8>> {
    let shortest = match argument {
        0..=23 => 0,
        24..=0xff => 1,
        0x100..=0xffff => 2,
        0x1_0000..=0xffff_ffff => 3,
        _ => 4,
    };
    let bytes = argument.to_be_bytes();
    match shortest + wider {
        0 => Some(vec![major << 5 | argument as u8]),
        step @ 1..=4 => {
            let mut out = vec![major << 5 | (23 + step as u8)];
            out.extend_from_slice(&bytes[8 - (1 << (step - 1))..]);
            Some(out)
        }
        _ => None,
    }
}

impl Value {
    /// The deterministic encoding (RFC 8949 §4.2.1).
    pub fn encode(&self) -> Vec<u8> {
        let mut out = self.head(0).unwrap_or_default();
        self.tail(&mut out);
        out
    }

    fn head(&self, wider: usize) -> Option<Vec<u8>> {
        let (major, argument) = match self {
            Value::Unsigned(n) => (0, *n),
            Value::Negative(n) => (1, *n),
            Value::Bytes(b) => (2, b.len() as u64),
            Value::Text(t) => (3, t.len() as u64),
            Value::Array(items) => (4, items.len() as u64),
            Value::Map(_) => (5, self.pairs().len() as u64),
            Value::Simple(n) => (7, u64::from(*n)),
            Value::Spoiled(_) => return None,
        };
        head(major, argument, wider)
    }

    fn pairs(&self) -> Vec<(Vec<u8>, Vec<u8>)> {
        let Value::Map(pairs) = self else { return Vec::new() };
        let mut pairs: Vec<_> = pairs.iter().map(|(k, v)| (k.encode(), v.encode())).collect();
        pairs.sort();
        pairs.dedup_by(|a, b| a.0 == b.0);
        pairs
    }

    fn tail(&self, out: &mut Vec<u8>) {
        match self {
            Value::Bytes(b) | Value::Spoiled(b) => out.extend_from_slice(b),
            Value::Text(t) => out.extend_from_slice(t.as_bytes()),
            Value::Array(items) => items.iter().for_each(|item| out.extend(item.encode())),
            Value::Map(_) => self.pairs().into_iter().for_each(|(k, v)| out.extend([k, v].concat())),
            Value::Unsigned(_) | Value::Negative(_) | Value::Simple(_) => {}
        }
    }

    /// Replaces one node by bytes that say the same, or nearly, in a way that is not allowed. `at` picks the node.
    /// False where this way of spoiling does not apply to that node.
    pub fn spoil(&mut self, at: &mut usize, how: Spoil) -> bool {
        if *at == 0 {
            return match self.spoiled(how) {
                Some(bytes) => {
                    *self = Value::Spoiled(bytes);
                    true
                }
                None => false,
            };
        }
        *at -= 1;
        let children: Vec<&mut Value> = match self {
            Value::Array(items) => items.iter_mut().collect(),
            // Values only: a spoiled key might be dropped as the double of its neighbour.
            Value::Map(pairs) => pairs.iter_mut().map(|(_, value)| value).collect(),
            _ => return false,
        };
        for child in children {
            let size = child.nodes();
            if *at < size {
                return child.spoil(at, how);
            }
            *at -= size;
        }
        false
    }

    /// How many nodes [`Value::spoil`] can pick from.
    pub fn nodes(&self) -> usize {
        1 + match self {
            Value::Array(items) => items.iter().map(Value::nodes).sum(),
            Value::Map(pairs) => pairs.iter().map(|(_, value)| value.nodes()).sum(),
            _ => 0,
        }
    }

    fn spoiled(&self, how: Spoil) -> Option<Vec<u8>> {
        let mut out = Vec::new();
        match how {
            Spoil::Longer(_) if matches!(self, Value::Simple(_)) => return None,
            Spoil::Longer(by) => out = self.head(by)?,
            Spoil::Indefinite => match self {
                Value::Bytes(_) => out.push(0x5f),
                Value::Text(_) => out.push(0x7f),
                Value::Array(_) => out.push(0x9f),
                Value::Map(_) => out.push(0xbf),
                _ => return None,
            },
            Spoil::Tagged => return Some([&[0xc1], &self.encode()[..]].concat()),
            Spoil::Float(width) => {
                let float: [&[u8]; 3] = [&[0xf9, 0, 0], &[0xfa, 0, 0, 0, 0], &[0xfb, 0, 0, 0, 0, 0, 0, 0, 0]];
                return Some(float[width % 3].to_vec());
            }
            Spoil::Simple(n) => return head(7, u64::from(n), 0).filter(|_| !matches!(n, 20..=22)),
            Spoil::BadUtf8 => return Some(vec![0x63, b'a', 0xc3, 0x28]),
            Spoil::Reserved(n) => return Some(vec![(n % 7) << 5 | (28 + n % 3)]),
            Spoil::Unsorted | Spoil::Doubled => {
                let mut pairs = self.pairs();
                if how == Spoil::Unsorted && pairs.len() > 1 {
                    pairs.swap(0, 1);
                } else if how == Spoil::Doubled && !pairs.is_empty() {
                    pairs.insert(0, pairs[0].clone());
                } else {
                    return None;
                }
                out = head(5, pairs.len() as u64, 0)?;
                pairs.into_iter().for_each(|(k, v)| out.extend([k, v].concat()));
                return Some(out);
            }
        }
        match self {
            // An indefinite string is made of definite chunks.
            Value::Bytes(_) | Value::Text(_) if how == Spoil::Indefinite => out.extend(self.encode()),
            _ => self.tail(&mut out),
        }
        if how == Spoil::Indefinite {
            out.push(0xff);
        }
        Some(out)
    }
}

/// What is not allowed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Spoil {
    Longer(usize),
    Indefinite,
    Tagged,
    Float(usize),
    Simple(u8),
    BadUtf8,
    Reserved(u8),
    Unsorted,
    Doubled,
}

pub fn spoils() -> impl Strategy<Value = Spoil> {
    prop_oneof![
        (1usize..4).prop_map(Spoil::Longer),
        Just(Spoil::Indefinite),
        Just(Spoil::Tagged),
        (0usize..3).prop_map(Spoil::Float),
        (0u8..=255).prop_map(Spoil::Simple),
        Just(Spoil::BadUtf8),
        any::<u8>().prop_map(Spoil::Reserved),
        Just(Spoil::Unsorted),
        Just(Spoil::Doubled),
    ]
}

/// Numbers close to where their encoding changes its width, and others.
fn numbers() -> impl Strategy<Value = u64> {
    let edges = [0, 23, 24, 0xff, 0x100, 0xffff, 0x1_0000, 0xffff_ffff, 0x1_0000_0000, u64::MAX];
    prop_oneof![proptest::sample::select(edges.to_vec()), any::<u64>(), 0u64..64]
}

/// Values, nested four deep at most.
pub fn values() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        numbers().prop_map(Value::Unsigned),
        numbers().prop_map(Value::Negative),
        proptest::collection::vec(any::<u8>(), 0..40).prop_map(Value::Bytes),
        ".{0,12}".prop_map(Value::Text),
        (20u8..=22).prop_map(Value::Simple),
    ];
    leaf.prop_recursive(4, 48, 6, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..6).prop_map(Value::Array),
            proptest::collection::vec((inner.clone(), inner), 0..6).prop_map(|mut pairs| {
                pairs.sort_by_cached_key(|(key, _)| key.encode());
                pairs.dedup_by_key(|(key, _)| key.encode());
                Value::Map(pairs)
            }),
        ]
    })
}

/// Reads one item leniently: any width, any order of keys. None where it is cut short or is something we never use.
pub fn parse(bytes: &mut &[u8]) -> Option<Value> {
    let first = take(bytes, 1)?[0];
    let (major, info) = (first >> 5, first & 31);
    let argument = match info {
        0..=23 => u64::from(info),
        24..=27 => take(bytes, 1 << (info - 24))?.iter().fold(0, |acc, b| acc << 8 | u64::from(*b)),
        _ => return None,
    };
    let size = usize::try_from(argument).ok();
    Some(match major {
        0 => Value::Unsigned(argument),
        1 => Value::Negative(argument),
        2 => Value::Bytes(take(bytes, size?)?.to_vec()),
        3 => Value::Text(String::from_utf8(take(bytes, size?)?.to_vec()).ok()?),
        4 => Value::Array((0..argument).map(|_| parse(bytes)).collect::<Option<_>>()?),
        5 => Value::Map((0..argument).map(|_| Some((parse(bytes)?, parse(bytes)?))).collect::<Option<_>>()?),
        7 if info < 24 && (20..=22).contains(&argument) => Value::Simple(argument as u8),
        _ => return None,
    })
}

fn take<'b>(bytes: &mut &'b [u8], n: usize) -> Option<&'b [u8]> {
    let (taken, rest) = bytes.split_at_checked(n)?;
    *bytes = rest;
    Some(taken)
}
