// Messages of rsa-jwe-1 by WebCrypto (node 20 or newer): an implementation that shares no line with ours.
//
//   node webcrypto.mjs make DIR KEYS    writes DIR/message.jwe (to keys a and b), DIR/statement.sig and DIR/jwk.json
//   node webcrypto.mjs open KEY < JWE   checks a message as the profile says, opens it with KEY, prints what is inside
//   node webcrypto.mjs verify JWK SIG-BASE64URL < MESSAGE   verifies a PS256 signature with a public JWK, prints its thumbprint
//
// KEYS is the folder of PKCS #8 files. Written from the design and the RFCs, for the tests in ../webcrypto.rs.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const { subtle } = globalThis.crypto;
const b64 = (bytes) => Buffer.from(bytes).toString('base64url');
const unb64 = (text) => Buffer.from(text, 'base64url');
const utf8 = (text) => new TextEncoder().encode(text);
const sha256 = async (bytes) => Buffer.from(await subtle.digest('SHA-256', bytes));
const OAEP = { name: 'RSA-OAEP', hash: 'SHA-256' };
const PSS = { name: 'RSA-PSS', hash: 'SHA-256' };

// RFC 7638: the required members in order, nothing else.
const thumbprint = async (jwk) => b64(await sha256(utf8(JSON.stringify({ e: jwk.e, kty: jwk.kty, n: jwk.n }))));

async function pair(path, algorithm, [secretUse, publicUse]) {
  const secret = await subtle.importKey('pkcs8', readFileSync(path), algorithm, true, [secretUse]);
  const { kty, n, e } = await subtle.exportKey('jwk', secret);
  const open = await subtle.importKey('jwk', { kty, n, e }, algorithm, true, [publicUse]);
  return { secret, open, jwk: { kty, n, e }, kid: await thumbprint({ kty, n, e }) };
}

const commitment = async (cek) => {
  const key = await subtle.importKey('raw', cek, { name: 'HMAC', hash: 'SHA-256' }, false, ['sign']);
  return b64(await subtle.sign('HMAC', key, utf8('tidings/jwe-commit/1')));
};

const keysHash = async (recipients) => {
  const length = (bytes) => { const out = Buffer.alloc(8); out.writeBigUInt64BE(BigInt(bytes.length)); return out; };
  const parts = [utf8('tidings/jwe-keys/1\0')];
  for (const { header, encrypted_key } of recipients) {
    for (const part of [utf8(header.kid), unb64(encrypted_key)]) parts.push(length(part), part);
  }
  return b64(await sha256(Buffer.concat(parts)));
};

async function make(dir, keys) {
  const cek = crypto.getRandomValues(new Uint8Array(32));
  const iv = crypto.getRandomValues(new Uint8Array(12));
  const recipients = [];
  for (const name of ['a', 'b']) {
    const { open, kid } = await pair(join(keys, `${name}.pk8`), OAEP, ['decrypt', 'encrypt']);
    recipients.push({ header: { kid }, encrypted_key: b64(await subtle.encrypt(OAEP, open, cek)) });
  }
  const header = { alg: 'RSA-OAEP-256', enc: 'A256GCM', crit: ['cmt', 'ekh'], cmt: await commitment(cek), ekh: await keysHash(recipients) };
  const protectedHeader = b64(utf8(JSON.stringify(header)));
  const key = await subtle.importKey('raw', cek, 'AES-GCM', false, ['encrypt']);
  const sealed = Buffer.from(await subtle.encrypt({ name: 'AES-GCM', iv, additionalData: utf8(protectedHeader) }, key, utf8('from a browser')));
  const jwe = { protected: protectedHeader, recipients, iv: b64(iv), ciphertext: b64(sealed.subarray(0, -16)), tag: b64(sealed.subarray(-16)) };
  writeFileSync(join(dir, 'message.jwe'), JSON.stringify(jwe));

  const signer = await pair(join(keys, 'c.pk8'), PSS, ['sign', 'verify']);
  writeFileSync(join(dir, 'statement.sig'), Buffer.from(await subtle.sign({ ...PSS, saltLength: 32 }, signer.secret, utf8('signed in a browser'))));
  writeFileSync(join(dir, 'jwk.json'), JSON.stringify({ ...signer.jwk, kid: signer.kid }));
}

async function open(path) {
  const jwe = JSON.parse(readFileSync(0, 'utf8'));
  const header = JSON.parse(unb64(jwe.protected));
  const { secret, kid } = await pair(path, OAEP, ['decrypt', 'encrypt']);
  const mine = jwe.recipients.find((recipient) => recipient.header.kid === kid);
  const cek = Buffer.from(await subtle.decrypt(OAEP, secret, unb64(mine.encrypted_key)));
  const asTheProfileSays =
    header.alg === 'RSA-OAEP-256' && header.enc === 'A256GCM' && JSON.stringify(header.crit) === '["cmt","ekh"]' &&
    cek.length === 32 && header.cmt === (await commitment(cek)) && header.ekh === (await keysHash(jwe.recipients));
  if (!asTheProfileSays) throw new Error('not of the profile');
  const key = await subtle.importKey('raw', cek, 'AES-GCM', false, ['decrypt']);
  const sealed = Buffer.concat([unb64(jwe.ciphertext), unb64(jwe.tag)]);
  const plain = await subtle.decrypt({ name: 'AES-GCM', iv: unb64(jwe.iv), additionalData: utf8(jwe.protected) }, key, sealed);
  process.stdout.write(Buffer.from(plain));
}

async function verify(jwk, sig) {
  const parsed = JSON.parse(jwk);
  const key = await subtle.importKey('jwk', parsed, PSS, true, ['verify']);
  if (!(await subtle.verify({ ...PSS, saltLength: 32 }, key, unb64(sig), readFileSync(0)))) throw new Error('the signature is not valid');
  process.stdout.write(await thumbprint(parsed));
}

const [verb, ...rest] = process.argv.slice(2);
await { make, open, verify }[verb](...rest);
