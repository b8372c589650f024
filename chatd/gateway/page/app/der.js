/** DER (X.690), as far as certificate requests, certificates and signatures need it. */

import { Fault } from "./fault.js";

/** The largest certificate that is read (docs/protocol.md, section 12). */
const CERTIFICATE_LIMIT = 8192;
const SEQUENCE = 0x30;
const INTEGER = 0x02;
const BIT_STRING = 0x03;
/** ecdsa-with-SHA256 (RFC 5758). */
const ECDSA_SHA256 = [0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02];
const P256_BYTES = 32;

/** @typedef {Uint8Array<ArrayBuffer>} Bytes */

/**
 * Join byte strings.
 * @param {ArrayLike<number>[]} parts
 * @returns {Bytes}
 */
export function concat(...parts) {
  const joined = new Uint8Array(parts.reduce((size, part) => size + part.length, 0));
  let at = 0;
  for (const part of parts) {
    joined.set(part, at);
    at += part.length;
  }
  return joined;
}

/**
 * Encode a value with its tag and length.
 * @param {number} tag
 * @param {ArrayLike<number>[]} parts
 */
function tlv(tag, ...parts) {
  const content = concat(...parts);
  const size = content.length;
  const length = size < 0x80 ? [size] : size < 0x100 ? [0x81, size] : [0x82, size >> 8, size & 0xff];
  return concat([tag, ...length], content);
}

/**
 * Return a certificate request (PKCS #10, RFC 2986) for a P-256 key; its name is empty, as nobody reads it.
 * @param {CryptoKeyPair} keys
 */
export async function makeRequest(keys) {
  const key = new Uint8Array(await crypto.subtle.exportKey("spki", keys.publicKey));
  // Version 0, an empty name, the key, no attributes.
  const info = tlv(SEQUENCE, tlv(INTEGER, [0]), tlv(SEQUENCE), key, tlv(0xa0));
  const signature = derSignature(await sign(keys.privateKey, info));
  return tlv(SEQUENCE, info, tlv(SEQUENCE, ECDSA_SHA256), tlv(BIT_STRING, [0], signature));
}

/**
 * Sign with ECDSA and SHA-256; returns r||s.
 * @param {CryptoKey} key
 * @param {Bytes} bytes
 */
export async function sign(key, bytes) {
  return new Uint8Array(await crypto.subtle.sign({ name: "ECDSA", hash: "SHA-256" }, key, bytes));
}

/**
 * Return a signature r||s as SEQUENCE of two INTEGERs.
 * @param {Bytes} raw
 */
export function derSignature(raw) {
  const half = raw.length / 2;
  return tlv(SEQUENCE, integer(raw.subarray(0, half)), integer(raw.subarray(half)));
}

/** @param {Bytes} bytes */
function integer(bytes) {
  let at = 0;
  while (at < bytes.length - 1 && bytes[at] === 0) at += 1;
  return tlv(INTEGER, bytes[at] & 0x80 ? [0] : [], bytes.subarray(at));
}

/**
 * @typedef {object} Certificate
 * @property {Bytes} der
 * @property {Bytes} serial
 * @property {number} notBefore ms since 1970
 * @property {number} notAfter
 * @property {Bytes} subject
 * @property {Bytes} key SubjectPublicKeyInfo
 * @property {Bytes} signed the bytes that are signed
 * @property {Bytes} signature as in the certificate
 */

/**
 * Read the first certificate of a PEM text. Throws E102.
 * @param {string} pem
 * @returns {Certificate}
 */
export function readCertificate(pem) {
  const found = /-----BEGIN CERTIFICATE-----([A-Za-z0-9+/=\s]+)-----END CERTIFICATE-----/.exec(pem);
  try {
    const der = fromBase64(found?.[1] ?? "");
    if (der.length > CERTIFICATE_LIMIT) throw new RangeError("too long");
    const [tbs, , signature] = items(items(der)[0].content);
    const fields = items(tbs.content);
    // The version, in [0], is there in version 3.
    const [serial, , , validity, subject, key] = fields[0].tag === 0xa0 ? fields.slice(1) : fields;
    const [notBefore, notAfter] = items(validity.content).map(time);
    return {
      der, serial: serial.content, notBefore, notAfter, subject: subject.whole, key: key.whole,
      signed: tbs.whole, signature: signature.content.subarray(1),
    };
  } catch {
    throw new Fault("E102", "the server sent an unreadable certificate");
  }
}

/**
 * Whether a P-256 key has signed a certificate.
 * @param {Certificate} issuer
 * @param {Certificate} certificate
 */
export async function hasIssued(issuer, certificate) {
  const algorithm = { name: "ECDSA", namedCurve: "P-256" };
  try {
    const key = await crypto.subtle.importKey("spki", issuer.key, algorithm, false, ["verify"]);
    const [r, s] = items(items(certificate.signature)[0].content).map(({ content }) => {
      const bytes = content.length > P256_BYTES ? content.subarray(content.length - P256_BYTES) : content;
      return concat(new Uint8Array(P256_BYTES - bytes.length), bytes);
    });
    const how = { name: "ECDSA", hash: "SHA-256" };
    return await crypto.subtle.verify(how, key, concat(r, s), certificate.signed);
  } catch {
    return false;
  }
}

/**
 * Return the values that follow each other in DER. Throws RangeError.
 * @param {Bytes} bytes
 */
function items(bytes) {
  const found = [];
  let at = 0;
  while (at < bytes.length) {
    const tag = bytes[at];
    let size = bytes[at + 1];
    let head = 2;
    if (size & 0x80) {
      const digits = size & 0x7f;
      if (digits < 1 || digits > 3) throw new RangeError("length");
      size = bytes.subarray(at + 2, at + 2 + digits).reduce((sum, digit) => sum * 256 + digit, 0);
      head += digits;
    }
    const end = at + head + size;
    if (!(end <= bytes.length)) throw new RangeError("cut");
    found.push({ tag, content: bytes.slice(at + head, end), whole: bytes.slice(at, end) });
    at = end;
  }
  return found;
}

/**
 * Return a UTCTime or GeneralizedTime in ms since 1970.
 * @param {{tag: number, content: Bytes}} value
 */
function time({ tag, content }) {
  const text = String.fromCharCode(...content);
  // RFC 5280: two digits below 50 are 20xx.
  const digits = tag === 0x18 ? text : `${Number(text.slice(0, 2)) < 50 ? "20" : "19"}${text}`;
  const parts = /^(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)Z$/.exec(digits);
  if (!parts) throw new RangeError("time");
  const [year, month, ...rest] = parts.slice(1).map(Number);
  return Date.UTC(year, month - 1, ...rest);
}

/**
 * Return the bytes of a base64 text. Throws for anything else.
 * @param {string} text
 * @returns {Bytes}
 */
export function fromBase64(text) {
  return Uint8Array.from(atob(text.replaceAll(/\s/g, "")), (character) => character.charCodeAt(0));
}

/** @param {Uint8Array} bytes */
export function toBase64(bytes) {
  return btoa(String.fromCharCode(...bytes));
}

/** Base64 for URLs, without padding. @param {Uint8Array} bytes */
export function toBase64Url(bytes) {
  return toBase64(bytes).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}

/** @param {Uint8Array} bytes */
export function toHex(bytes) {
  return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** @param {string} text */
export function fromHex(text) {
  return Uint8Array.from(text.match(/../g) ?? [], (pair) => parseInt(pair, 16));
}

/** @param {Bytes} bytes */
export async function sha256(bytes) {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
}
