/** The code of an invite (docs/protocol.md, "Enrolment"). */

import { Fault } from "./fault.js";

const ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const DATA_SYMBOLS = 52;
const CHECK_SYMBOLS = 6;
const CODE_SYMBOLS = DATA_SYMBOLS + CHECK_SYMBOLS;
const GROUP = 6;
const PART_BYTES = 16;
const TEXT_LIMIT = 512;
/** BIP 173: the generator of the BCH code; BIP 350: the constant that the checksum leaves. */
const GENERATOR = [0x3b6a57b2, 0x26508e6d, 0x1ea119fa, 0x3d4233dd, 0x2a1462b3];
const CONSTANT = 0x2bc830a3;

/**
 * @typedef {object} InviteCode
 * @property {Uint8Array<ArrayBuffer>} secret
 * @property {Uint8Array<ArrayBuffer>} authority the first 16 bytes of the SHA-256 of the CA's certificate
 */

/**
 * Read an invite: a link, "HOST:PORT/CODE" or the code alone. Throws E215.
 * @param {string} text
 * @returns {InviteCode}
 */
export function parseCode(text) {
  if (text.length > TEXT_LIMIT) throw new Fault("E215", `an invite is shorter than ${TEXT_LIMIT} characters`);
  const code = text.trim().split(/[/#]/).at(-1) ?? "";
  const symbols = [...code.toUpperCase()].filter((symbol) => !/[\s-]/.test(symbol));
  const values = symbols.map((symbol) => valueOf(symbol));
  if (values.length !== CODE_SYMBOLS) {
    throw new Fault("E215", `the invite's code has ${values.length} characters instead of ${CODE_SYMBOLS}`);
  }
  if (remainder(values) !== CONSTANT) throw new Fault("E215", "the invite's code is mistyped");
  let number = 0n;
  for (const value of values.slice(0, DATA_SYMBOLS)) number = (number << 5n) | BigInt(value);
  if (number >> BigInt(16 * PART_BYTES)) {
    throw new Fault("E215", "the invite is of a newer chatd", "reload the page");
  }
  const bytes = new Uint8Array(2 * PART_BYTES);
  for (let at = bytes.length - 1; at >= 0; at -= 1, number >>= 8n) bytes[at] = Number(number & 0xffn);
  return { secret: bytes.slice(0, PART_BYTES), authority: bytes.slice(PART_BYTES) };
}

/**
 * Write a code.
 * @param {InviteCode} code
 */
export function codeText({ secret, authority }) {
  let number = 0n;
  for (const byte of [...secret, ...authority]) number = (number << 8n) | BigInt(byte);
  const data = digits(number, DATA_SYMBOLS);
  const empty = new Array(CHECK_SYMBOLS).fill(0);
  const check = (remainder([...data, ...empty]) ^ CONSTANT) >>> 0;
  const text = [...data, ...digits(BigInt(check), CHECK_SYMBOLS)].map((value) => ALPHABET[value]).join("");
  return (text.match(new RegExp(`.{1,${GROUP}}`, "g")) ?? []).join("-");
}

/**
 * @param {bigint} number
 * @param {number} count
 */
function digits(number, count) {
  return Array.from({ length: count }, (_, at) => Number((number >> BigInt(5 * (count - 1 - at))) & 31n));
}

/** @param {string} symbol */
function valueOf(symbol) {
  const plain = symbol === "O" ? "0" : symbol === "I" || symbol === "L" ? "1" : symbol;
  const value = ALPHABET.indexOf(plain);
  if (value < 0) throw new Fault("E215", `no invite's code contains ${JSON.stringify(symbol)}`);
  return value;
}

/**
 * Return the remainder of the BCH code (BIP 173, bech32_polymod).
 * @param {number[]} values
 */
function remainder(values) {
  let check = 1;
  for (const value of values) {
    const top = check >>> 25;
    check = ((check & 0x1ffffff) << 5) ^ value;
    GENERATOR.forEach((term, place) => {
      if ((top >> place) & 1) check ^= term;
    });
  }
  return check >>> 0;
}
