//! The one form of JWE that is spoken here. Everything that RFC 7516 allows beyond it is refused before a key is touched,
//! and everything that fails with a key fails in one way.
//!
//! Variants of the header are encrypted under that header, so their tags are right: it is the profile that refuses them.

use crate::forge::{Inner, Jwe, Recipients, commitment, keys_hash};
use crate::samples::*;
use aes_gcm::aes::Aes256;
use aes_gcm::aes::cipher::{BlockEncrypt, KeyInit};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as B64;
use proptest::prelude::*;
use tidings_e2ee::jose::{self, JoseError, Parsed, Sealed};
use tidings_e2ee::rsa::{AwsLcKeys, encrypt_oaep};
use tidings_e2ee::suite::OpenError;

const NOT_OURS: OpenError = OpenError::NotAuthentic("it is not of this room's suite");
const OTHER_MEMBERS: OpenError = OpenError::NotAuthentic("it is not locked to exactly this room's members");

fn usual() -> Jwe {
    Jwe::usual(Inner::usual().plaintext(&ALICE.device))
}

/// What bob makes of a body.
fn bob_reads(body: impl Into<Vec<u8>>) -> Result<(), OpenError> {
    bob_opens(&Place::usual().draft(&ALICE.device, body.into())).map(|_| ())
}

#[test]
fn the_header_has_one_form() {
    let jwe = usual();
    let header = jwe.header();
    assert_eq!(bob_reads(jwe.with_header(&header)), Ok(()), "the control");
    let changed = |from: &str, to: &str| {
        assert_eq!(header.matches(from).count(), 1, "{from}");
        header.replace(from, to)
    };
    let algorithm = r#""alg":"RSA-OAEP-256""#;
    let variants = [
        changed("RSA-OAEP-256", "RSA1_5"),
        changed("RSA-OAEP-256", "RSA-OAEP"),
        changed("RSA-OAEP-256", "RSA-OAEP-512"),
        changed("RSA-OAEP-256", "rsa-oaep-256"),
        changed("RSA-OAEP-256", "dir"),
        changed("RSA-OAEP-256", "none"),
        changed("A256GCM", "A128GCM"),
        changed("A256GCM", "A256CBC-HS512"),
        changed(r#","cmt""#, r#","zip":"DEF","cmt""#).replacen(r#"["cmt","zip":"DEF",""#, r#"["cmt",""#, 1),
        changed(algorithm, r#""alg":"RSA-OAEP-256","zip":"DEF""#),
        changed(algorithm, r#""alg":"RSA-OAEP-256","jku":"https://example.org/keys""#),
        changed(algorithm, r#""alg":"RSA-OAEP-256","x5u":"https://example.org/chain""#),
        changed(algorithm, r#""alg":"RSA-OAEP-256","jwk":{}"#),
        changed(algorithm, r#""alg":"RSA-OAEP-256","kid":"x""#),
        changed(algorithm, r#""alg":"RSA-OAEP-256","alg":"RSA-OAEP-256""#),
        changed(algorithm, r#""alg":"RSA1_5","alg":"RSA-OAEP-256""#),
        changed(algorithm, r#""alg":["RSA-OAEP-256"]"#),
        changed(r#"["cmt","ekh"]"#, r#"["cmt","ekh","exp"]"#),
        changed(r#"["cmt","ekh"]"#, r#"["ekh","cmt"]"#),
        changed(r#"["cmt","ekh"]"#, r#"["cmt","cmt"]"#),
        changed(r#"["cmt","ekh"]"#, r#"["cmt"]"#),
        changed(r#"["cmt","ekh"]"#, "[]"),
        changed(r#""crit":["cmt","ekh"],"#, ""),
        changed(r#"{"alg""#, r#"{ "alg""#),
        changed(r#""enc":"A256GCM","#, ""),
        changed("A256GCM", r"A256GC\u004d"),
        format!("{header}\n"),
        format!("{header}{{}}"),
        String::new(),
        "{}".into(),
        "[]".into(),
        "null".into(),
    ];
    for variant in &variants {
        assert_ne!(*variant, header);
        assert_eq!(bob_reads(jwe.with_header(variant)), Err(NOT_OURS), "{variant}");
    }
    assert_eq!(variants.len(), 32);
    // The members in another order.
    let (first, rest) = header[1..].split_once(',').unwrap();
    assert_eq!(bob_reads(jwe.with_header(&format!("{{{},{first}}}", &rest[..rest.len() - 1]))), Err(NOT_OURS));
}

#[test]
fn each_commitment_is_there_and_has_its_length() {
    let jwe = usual();
    let with = |change: fn(&mut Jwe)| {
        let mut changed = jwe.clone();
        change(&mut changed);
        bob_reads(changed.json())
    };
    assert_eq!(with(|_| ()), Ok(()));
    assert_eq!(with(|it| it.cmt.truncate(31)), Err(NOT_OURS));
    assert_eq!(with(|it| it.cmt.clear()), Err(NOT_OURS));
    assert_eq!(with(|it| it.cmt.push(0)), Err(NOT_OURS));
    assert_eq!(with(|it| it.ekh.truncate(31)), Err(NOT_OURS));
    assert_eq!(with(|it| it.ekh[0] ^= 1), Err(NOT_OURS));
    assert_eq!(with(|it| it.cmt[0] ^= 1), Err(OpenError::Undecryptable));
    assert_eq!(with(|it| it.cmt = it.cek.clone()), Err(OpenError::Undecryptable));
}

#[test]
fn the_json_around_it_has_one_form() {
    let json = usual().json();
    let changed = |from: &str, to: &str| {
        assert!(json.contains(from), "{from}");
        json.replacen(from, to, 1)
    };
    let variants = [
        format!(" {json}"),
        format!("{json}\n"),
        format!("{json}{json}"),
        format!("[{json}]"),
        changed(r#"":""#, r#"": ""#),
        changed(r#"{"protected""#, "{\r\n\"protected\""),
        changed(r#"{"protected""#, r#"{"\u0070rotected""#),
        changed(r#","iv""#, r#","unprotected":{"alg":"RSA1_5"},"iv""#),
        changed(r#","iv""#, r#","aad":"","iv""#),
        changed(r#","iv""#, r#","x":null,"iv""#),
        changed(r#"{"header""#, r#"{"x":1,"header""#),
        changed(r#"{"kid""#, r#"{"alg":"RSA1_5","kid""#),
        changed(r#"{"kid""#, r#"{"jku":"https://example.org","kid""#),
        changed(r#"{"kid""#, r#"{"kid":"x","kid""#),
        changed(r#"{"protected""#, r#"{"tag":"AAAAAAAAAAAAAAAAAAAAAA","protected""#),
        changed(r#","tag":""#, r#","iv":"AAAAAAAAAAAAAAAA","tag":""#),
        changed(r#","iv""#, r#","recipients":[],"iv""#),
        "{}".into(),
        String::new(),
        "null".into(),
        "[".repeat(100_000),
    ];
    for variant in &variants {
        assert_eq!(bob_reads(variant.as_bytes()), Err(NOT_OURS), "{}", &variant[..variant.len().min(200)]);
    }
    let mut bytes = json.clone().into_bytes();
    bytes[5] = 0xff;
    assert_eq!(bob_reads(bytes), Err(NOT_OURS), "not UTF-8");
    // The same value with its members in serde_json's order, which is the alphabet's.
    let sorted = serde_json::from_str::<serde_json::Value>(&json).unwrap().to_string();
    assert_ne!(sorted, json);
    assert_eq!(bob_reads(sorted), Err(NOT_OURS));
}

#[test]
fn no_compact_and_no_flattened_form() {
    let jwe = usual();
    let value: serde_json::Value = serde_json::from_str(&jwe.json()).unwrap();
    let part = |name: &str| value[name].as_str().unwrap().to_owned();
    let key = value["recipients"][1]["encrypted_key"].as_str().unwrap();
    let compact = [part("protected"), key.into(), part("iv"), part("ciphertext"), part("tag")].join(".");
    assert_eq!(bob_reads(compact), Err(NOT_OURS));
    let flattened = format!(
        r#"{{"protected":"{}","encrypted_key":"{key}","iv":"{}","ciphertext":"{}","tag":"{}"}}"#,
        part("protected"),
        part("iv"),
        part("ciphertext"),
        part("tag")
    );
    assert_eq!(bob_reads(flattened), Err(NOT_OURS));
}

#[test]
fn base64url_has_one_form() {
    let json = usual().json();
    let value: serde_json::Value = serde_json::from_str(&json).unwrap();
    let tag = value["tag"].as_str().unwrap();
    let parts = [
        value["protected"].as_str().unwrap(),
        value["recipients"][0]["encrypted_key"].as_str().unwrap(),
        value["recipients"][1]["encrypted_key"].as_str().unwrap(),
        value["iv"].as_str().unwrap(),
        value["ciphertext"].as_str().unwrap(),
        tag,
    ];
    for part in parts {
        let mut first = part.to_owned();
        first.replace_range(0..1, "+");
        for changed in [format!("{part}="), format!("{part}=="), format!(" {part}"), format!("{part} "), first] {
            let changed = json.replacen(part, &changed, 1);
            assert_eq!(bob_reads(changed), Err(NOT_OURS), "{part}");
        }
    }
    // 16 bytes are 21 characters and two bits: the last character's other four bits must be zero.
    let last = tag.as_bytes()[21];
    assert!(b"AQgw".contains(&last));
    let other = format!("{}{}", &tag[..21], (last + 1) as char);
    assert_eq!(bob_reads(json.replace(tag, &other)), Err(NOT_OURS), "bits after the end");
}

#[test]
fn nonce_and_tag_have_their_lengths() {
    let jwe = usual();
    let header = "eyJ9";
    for (nonce, tag) in [(11, 16), (13, 16), (0, 16), (16, 16), (12, 15), (12, 12), (12, 4), (12, 0), (12, 17)] {
        let assembled = jwe.assembled(header, &vec![0; nonce], b"text", &vec![0; tag]);
        assert!(Parsed::read(assembled.as_bytes()).is_err(), "{nonce} {tag}");
    }
    let value: serde_json::Value = serde_json::from_str(&jwe.json()).unwrap();
    let protected = value["protected"].as_str().unwrap();
    assert!(Parsed::read(jwe.assembled(protected, &[0; 12], b"text", &[0; 16]).as_bytes()).is_ok(), "the control");
    for (nonce, tag) in [(11, 16), (13, 16), (12, 15), (12, 17), (12, 0)] {
        let assembled = jwe.assembled(protected, &vec![0; nonce], b"text", &vec![0; tag]);
        assert_eq!(Parsed::read(assembled.as_bytes()).err(), Some(JoseError::NotOurProfile), "{nonce} {tag}");
    }
}

/// What a server can do to the recipients. It cannot compute the tag, so `ekh` tells; nor could a member, since the keys
/// are those of the roster.
#[test]
fn the_recipients_are_the_members_in_order_each_with_their_own_key() {
    let jwe = usual();
    type Change<'a> = &'a dyn Fn(&mut Recipients);
    let with = |fix: bool, change: Change| {
        let mut changed = jwe.clone();
        change(&mut changed.recipients);
        if fix {
            changed.ekh = keys_hash(&changed.recipients);
        }
        bob_reads(changed.json())
    };
    let extra = (CAROL.encryption.kid(), encrypt_oaep(&CAROL.encryption, &jwe.cek).unwrap());
    // A key that is not known to be alice's may be a newer one of hers: nothing is opened before that is known.
    let not_hers = OpenError::NotYet(ALICE.user().clone());
    let changes: [(Change, OpenError); 7] = [
        (&|it| drop(it.pop()), OTHER_MEMBERS),
        (&|it| drop(it.remove(0)), OTHER_MEMBERS),
        (&|it| it.push(extra.clone()), OTHER_MEMBERS),
        (&|it| it.push(it[0].clone()), OTHER_MEMBERS),
        (&|it| it.reverse(), not_hers.clone()),
        (&|it| it[0] = extra.clone(), not_hers.clone()),
        (&|it| it[0].0 = "no thumbprint".into(), OTHER_MEMBERS),
    ];
    for (change, refused) in changes {
        assert_eq!(with(false, change), Err(NOT_OURS));
        assert_eq!(with(true, change), Err(refused));
    }
    let swap = |it: &mut Recipients| {
        let first = it[0].1.clone();
        it[0].1 = std::mem::replace(&mut it[1].1, first);
    };
    assert_eq!(with(false, &swap), Err(NOT_OURS), "two members' encrypted keys swapped");
    assert_eq!(with(true, &swap), Err(OpenError::Undecryptable));
    assert_eq!(with(false, &|it| it[0].1[9] ^= 1), Err(NOT_OURS), "another member's key touched: all of them see it");
    assert_eq!(with(true, &|it| it.clear()), Err(NOT_OURS));
}

#[test]
fn there_are_1_to_64_recipients() {
    let jwe = Jwe::to(&keys()[..1], &[3; 32], b"text".to_vec());
    let many = |count: usize| {
        let recipients = vec![jwe.recipients[0].clone(); count];
        let many = Jwe { ekh: keys_hash(&recipients), recipients, ..jwe.clone() };
        Parsed::read(many.json().as_bytes()).map(|parsed| parsed.kids().count()).ok()
    };
    assert_eq!([1, 64].map(many), [Some(1), Some(64)]);
    assert_eq!([0, 65].map(many), [None, None]);
}

/// What fails with a key fails in one way, whatever it was.
#[test]
fn every_failure_to_decrypt_is_the_same() {
    let jwe = usual();
    let refused = |change: &dyn Fn(&mut Jwe)| {
        let mut changed = jwe.clone();
        change(&mut changed);
        changed.ekh = keys_hash(&changed.recipients);
        let body = changed.json();
        assert_eq!(bob_reads(body.as_bytes()), Err(OpenError::Undecryptable));
        let parsed = Parsed::read(body.as_bytes()).unwrap();
        let opened = wait(parsed.open(&AwsLcKeys, &BOB.ring[0].0, &BOB.ring[0].1));
        assert_eq!(opened.unwrap_err(), JoseError::Undecryptable);
    };
    let bobs = |plain: &[u8]| encrypt_oaep(&BOB.encryption, plain).unwrap();
    refused(&|it| it.recipients[1].1 = bobs(&[0xc7; 16]));
    refused(&|it| it.recipients[1].1 = bobs(&[0xc7; 31]));
    refused(&|it| it.recipients[1].1 = bobs(&[0xc7; 33]));
    refused(&|it| it.recipients[1].1 = bobs(&[0xc7; 64]));
    refused(&|it| it.recipients[1].1 = bobs(&[]));
    refused(&|it| it.recipients[1].1 = bobs(&[0xc8; 32]));
    refused(&|it| it.recipients[1].1 = encrypt_oaep(&ALICE.encryption, &it.cek).unwrap());
    refused(&|it| it.recipients[1].1[200] ^= 1);
    refused(&|it| it.recipients[1].1.truncate(383));
    refused(&|it| it.recipients[1].1.push(0));
    refused(&|it| it.recipients[1].1.clear());
    refused(&|it| it.recipients[1].1.fill(0));
    refused(&|it| it.recipients[1].1.fill(0xff));
    refused(&|it| it.cmt[31] ^= 1);
    let value: serde_json::Value = serde_json::from_str(&jwe.json()).unwrap();
    let other_tag = jwe.assembled(value["protected"].as_str().unwrap(), &[0x1f; 12], b"text", &[0; 16]);
    assert_eq!(bob_reads(other_tag), Err(OpenError::Undecryptable));
    assert_eq!(ROOM.open(&CAROL, &ALICE.state, &sealed_draft()), Err(OpenError::Locked), "no key of hers");
}

/// Multiplication in GCM's field (NIST SP 800-38D §6.3).
fn times(x: u128, mut y: u128) -> u128 {
    let mut product = 0;
    for bit in (0..128).rev() {
        product ^= if x >> bit & 1 == 1 { y } else { 0 };
        y = (y >> 1) ^ if y & 1 == 1 { 0xe1 << 120 } else { 0 };
    }
    product
}

fn inverse(x: u128) -> u128 {
    const ONE: u128 = 1 << 127;
    let (mut power, mut product) = (x, ONE);
    for _ in 1..128 {
        power = times(power, power);
        product = times(product, power); // x^(2^128 - 2)
    }
    assert_eq!(times(product, x), ONE);
    product
}

fn aes(key: &[u8; 32], block: u128) -> u128 {
    let mut block = block.to_be_bytes().into();
    Aes256::new(key.into()).encrypt_block(&mut block);
    u128::from_be_bytes(block.into())
}

/// GCM's tag over these bytes, both padded by zeros to whole blocks.
fn gcm_tag(key: &[u8; 32], nonce: &[u8; 12], aad: &[u8], ciphertext: &[u8]) -> u128 {
    let hash_key = aes(key, 0);
    let blocks = [aad, ciphertext].into_iter().flat_map(|part| part.chunks(16)).map(|chunk| {
        let mut block = [0; 16];
        block[..chunk.len()].copy_from_slice(chunk);
        u128::from_be_bytes(block)
    });
    let lengths = (aad.len() as u128 * 8) << 64 | (ciphertext.len() as u128 * 8);
    let hash = blocks.chain([lengths]).fold(0, |hash, block| times(hash ^ block, hash_key));
    hash ^ aes(key, u128::from_be_bytes([&nonce[..], &[0, 0, 0, 1]].concat().try_into().unwrap()))
}

/// AES-GCM does not commit to its key: here is one ciphertext, one nonce and one tag that are valid under two keys. Whoever
/// gives one key to alice and the other to bob would have them read two texts in one message; `cmt` allows one key only.
///
/// Control: with the check of `cmt` left out of `Parsed::open`, bob opens it with the second key.
#[test]
fn one_message_cannot_have_two_keys() {
    let (one, two, nonce) = ([0x11; 32], [0x22; 32], [0x1f; 12]);
    let mut jwe = usual();
    jwe.recipients[0].1 = encrypt_oaep(&ALICE.encryption, &one).unwrap();
    jwe.recipients[1].1 = encrypt_oaep(&BOB.encryption, &two).unwrap();
    (jwe.ekh, jwe.cmt) = (keys_hash(&jwe.recipients), commitment(&one));
    let protected = B64.encode(jwe.header());

    // The last block has the factor H² in the hash: it is solved for, so that the two tags are the same.
    let mut ciphertext = [0x42; 64];
    ciphertext[48..].fill(0);
    let differ = gcm_tag(&one, &nonce, protected.as_bytes(), &ciphertext) ^ gcm_tag(&two, &nonce, protected.as_bytes(), &ciphertext);
    let square = |key| times(aes(key, 0), aes(key, 0));
    ciphertext[48..].copy_from_slice(&times(differ, inverse(square(&one) ^ square(&two))).to_be_bytes());
    let tag = gcm_tag(&one, &nonce, protected.as_bytes(), &ciphertext);
    let sealed = Sealed { iv: nonce.to_vec(), ciphertext: ciphertext.to_vec(), tag: tag.to_be_bytes().to_vec() };
    let open = |key| jose::decrypt(key, protected.as_bytes(), &sealed).unwrap().to_vec();
    assert_ne!(open(&one), open(&two), "the attack itself: both keys open it, to different texts");

    let body = jwe.assembled(&protected, &nonce, &ciphertext, &tag.to_be_bytes());
    let parsed = Parsed::read(body.as_bytes()).unwrap();
    let opened = |person: &Person| wait(parsed.open(&AwsLcKeys, &person.ring[0].0, &person.ring[0].1)).map(|plain| plain.to_vec());
    assert_eq!(opened(&ALICE), Ok(open(&one)));
    assert_eq!(opened(&BOB), Err(JoseError::Undecryptable));
    assert_eq!(bob_reads(body), Err(OpenError::Undecryptable));
}

/// One byte in every seven, each with one bit flipped; the rest is left to chance below.
#[test]
fn no_byte_can_be_changed() {
    for at in (0..SEALED.len()).step_by(7) {
        let mut changed = SEALED.to_vec();
        changed[at] ^= 1 << (at % 8);
        assert!(bob_reads(changed).is_err(), "byte {at}");
    }
    for length in (0..SEALED.len()).step_by(97) {
        assert_eq!(bob_reads(&SEALED[..length]), Err(NOT_OURS), "cut at {length}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn whatever_is_changed_never_opens_and_never_panics(changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4)) {
        let mut changed = SEALED.to_vec();
        for (at, byte) in changes {
            let at = at.index(changed.len());
            changed[at] = byte;
        }
        prop_assume!(changed[..] != SEALED[..]);
        prop_assert!(bob_reads(changed).is_err());
    }

    #[test]
    fn whatever_comes_is_judged(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert_eq!(bob_reads(bytes), Err(NOT_OURS));
    }
}
