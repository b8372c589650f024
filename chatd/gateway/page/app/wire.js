/** Frames: u32 big-endian length and a JSON object in UTF-8, several in a message. */

import { Fault } from "./fault.js";

/** The largest frame, its length field included (docs/protocol.md, section 12). */
export const FRAME_LIMIT = 65536;
const HEADER = 4;
const DEPTH_LIMIT = 8;
const KEYS_LIMIT = 64;
const ITEMS_LIMIT = 1024;
const STRING_LIMIT = 32768;
const INTEGER_LIMIT = 2 ** 53;

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** @typedef {{[key: string]: unknown}} Json A JSON object from the network: nothing in it is judged. */

/**
 * Encode a request. Throws E401 if it is too long, E402 if a text is not valid Unicode.
 * @param {Json} frame
 * @returns {Uint8Array<ArrayBuffer>}
 */
export function encode(frame) {
  const text = JSON.stringify(frame);
  // JSON.stringify writes a lone surrogate as \udXXX, which the server refuses.
  if (/\\ud[89a-f]/.test(text) && !allWellFormed(frame)) {
    throw new Fault("E402", "the text is not valid Unicode", "write it again");
  }
  const body = encoder.encode(text);
  if (HEADER + body.length > FRAME_LIMIT) {
    const size = HEADER + body.length;
    throw new Fault("E401", `the message takes ${size} bytes on the wire; at most ${FRAME_LIMIT} can be sent`);
  }
  const bytes = new Uint8Array(HEADER + body.length);
  new DataView(bytes.buffer).setUint32(0, body.length);
  bytes.set(body, HEADER);
  return bytes;
}

/**
 * Split a binary message of whole frames. Throws E100, E101 or E102 for anything else.
 * @param {ArrayBuffer} message
 * @returns {Json[]}
 */
export function split(message) {
  const view = new DataView(message);
  const frames = [];
  let at = 0;
  while (at < message.byteLength) {
    if (message.byteLength - at < HEADER) throw new Fault("E100", "a frame was cut");
    const length = view.getUint32(at);
    if (length > FRAME_LIMIT - HEADER) throw new Fault("E101");
    if (length > message.byteLength - at - HEADER) throw new Fault("E100", "a frame was cut");
    frames.push(decode(new Uint8Array(message, at + HEADER, length)));
    at += HEADER + length;
  }
  return frames;
}

/**
 * Parse the JSON of one frame. Throws E102.
 * @param {Uint8Array<ArrayBuffer>} body
 * @returns {Json}
 */
export function decode(body) {
  try {
    return parseText(decoder.decode(body));
  } catch (error) {
    throw error instanceof Fault ? error : new Fault("E102", "the server sent invalid UTF-8");
  }
}

/**
 * Parse a JSON object. Throws E102.
 * @param {string} text
 * @returns {Json}
 */
export function parseText(text) {
  let value;
  try {
    value = JSON.parse(text);
  } catch {
    throw new Fault("E102", "the server sent invalid JSON");
  }
  if (!isObject(value)) throw new Fault("E102", "the server sent JSON that is no object");
  check(value, 1);
  return value;
}

/**
 * Whether a value is a JSON object.
 * @param {unknown} value
 * @returns {value is Json}
 */
export function isObject(value) {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/**
 * Return the objects in a list; none for anything else.
 * @param {unknown} list
 * @returns {any[]}
 */
export function objectsOf(list) {
  return Array.isArray(list) ? list.filter(isObject) : [];
}

/**
 * Collect the frames of a byte stream whose messages do not end where frames do.
 */
export class FrameBuffer {
  #bytes = new Uint8Array(0);

  /**
   * Add bytes; return the frames that are whole now.
   * @param {ArrayBuffer} message
   * @returns {Json[]}
   */
  push(message) {
    const joined = new Uint8Array(this.#bytes.length + message.byteLength);
    joined.set(this.#bytes);
    joined.set(new Uint8Array(message), this.#bytes.length);
    const frames = [];
    let at = 0;
    while (joined.length - at >= HEADER) {
      const length = new DataView(joined.buffer).getUint32(at);
      if (length > FRAME_LIMIT - HEADER) throw new Fault("E101");
      if (joined.length - at - HEADER < length) break;
      frames.push(decode(joined.subarray(at + HEADER, at + HEADER + length)));
      at += HEADER + length;
    }
    this.#bytes = joined.slice(at);
    return frames;
  }
}

/**
 * Hold what the server sends to the limits of the protocol.
 * @param {unknown} value
 * @param {number} depth
 */
function check(value, depth) {
  if (typeof value === "string" && value.length > 2 * STRING_LIMIT) throw new Fault("E102");
  if (typeof value === "number" && Number.isInteger(value) && Math.abs(value) > INTEGER_LIMIT) {
    throw new Fault("E102", "the server sent a number that is too large");
  }
  if (typeof value !== "object" || value === null) return;
  if (depth > DEPTH_LIMIT) throw new Fault("E102", "the server sent JSON that is too deep");
  const items = Object.values(value);
  if (items.length > (Array.isArray(value) ? ITEMS_LIMIT : KEYS_LIMIT)) throw new Fault("E102");
  for (const item of items) check(item, depth + 1);
}

/**
 * Whether all strings in a request are valid Unicode.
 * @param {unknown} value
 * @returns {boolean}
 */
function allWellFormed(value) {
  if (typeof value === "string") return !/\p{Surrogate}/u.test(value);
  if (typeof value !== "object" || value === null) return true;
  return Object.values(value).every(allWellFormed);
}
