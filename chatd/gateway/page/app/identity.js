/** This browser's identity: a key that cannot be exported, and the certificate for it. */

import { concat, derSignature, hasIssued, readCertificate, sha256, sign } from "./der.js";
import { toBase64Url, toHex } from "./der.js";
import { Fault } from "./fault.js";

const encoder = new TextEncoder();
/** A certificate is renewed at two thirds of its life, or up to a twelfth of it later (ADR 32). */
const RENEW_AT = 2 / 3;
const JITTER = 1 / 12;

/**
 * @typedef {object} Identity As it is kept in IndexedDB.
 * @property {CryptoKeyPair} keys
 * @property {string} certificate PEM
 * @property {string} ca PEM of the pinned CA
 * @property {string} instance
 * @property {string} user
 * @property {string} device
 * @property {string[]} addresses where native clients connect
 */

/** Make a P-256 key that never leaves this browser. @returns {Promise<CryptoKeyPair>} */
export function makeKeys() {
  return crypto.subtle.generateKey({ name: "ECDSA", namedCurve: "P-256" }, false, ["sign", "verify"]);
}

/**
 * Return the message that answers a challenge of the server.
 * @param {Identity|null} identity
 * @param {any} challenge
 * @param {string} origin
 */
export async function loginMessage(identity, challenge, origin) {
  // The client certificate of TLS logs in.
  if (challenge.certificate === true) return { type: "login" };
  if (!identity) throw new Fault("E608", "there is no identity in this browser");
  if (challenge.instance !== identity.instance) {
    const named = JSON.stringify(challenge.instance);
    throw new Fault("E209", `this is the server ${named}, not "${identity.instance}"`);
  }
  const text = ["chatd browser login v1", challenge.nonce, origin, identity.instance].join("\n");
  const signature = toBase64Url(await sign(identity.keys.privateKey, encoder.encode(text)));
  return { type: "login", certificate: identity.certificate, signature };
}

/**
 * Return when to renew, in ms since 1970. The serial decides on the moment: the same after a restart.
 * @param {Identity} identity
 */
export function renewalDue(identity) {
  const { notBefore, notAfter, serial } = readCertificate(identity.certificate);
  const low = ((serial.at(-2) ?? 0) * 256 + (serial.at(-1) ?? 0)) % 1024;
  return notBefore + (notAfter - notBefore) * (RENEW_AT + (JITTER * low) / 1024);
}

/**
 * Return the proof of a renewal, in hex (docs/protocol.md, "Enrolment").
 * @param {Identity} identity
 * @param {Uint8Array<ArrayBuffer>} binding
 */
export async function renewalProof(identity, binding) {
  const { der } = readCertificate(identity.certificate);
  const domain = encoder.encode("chatd/renewal/1\0");
  const signed = concat(domain, await sha256(binding), await sha256(der));
  return toHex(derSignature(await sign(identity.keys.privateKey, signed)));
}

/**
 * Return the CA to pin: the one that is pinned, or one whose key it has certified. Throws E209.
 * @param {string} pinned PEM
 * @param {string} named PEM
 * @param {string[]} crosses PEM
 */
export async function successor(pinned, named, crosses) {
  const [old, next] = [readCertificate(pinned), readCertificate(named)];
  if (toHex(old.der) === toHex(next.der)) return named;
  for (const cross of crosses.map(readCertificate)) {
    const sameKey = toHex(cross.key) === toHex(next.key) && toHex(cross.subject) === toHex(old.subject);
    if (sameKey && (await hasIssued(old, cross)) && (await hasIssued(next, next))) return named;
  }
  throw new Fault("E209", "the server names a CA that the one known here has not certified");
}

/**
 * Check that a certificate is one for a key, of a CA. Throws E209 or E608.
 * @param {CryptoKeyPair} keys
 * @param {string} certificate PEM
 * @param {string} ca PEM
 */
export async function checkIssued(keys, certificate, ca) {
  const issued = readCertificate(certificate);
  const key = new Uint8Array(await crypto.subtle.exportKey("spki", keys.publicKey));
  if (toHex(issued.key) !== toHex(key)) throw new Fault("E608", "the certificate is for another key");
  if (!(await hasIssued(readCertificate(ca), issued))) {
    throw new Fault("E209", "the server's CA has not issued this certificate");
  }
}
