/** The error that a person can act on; its code is one of docs/protocol.md, section 13. */

import { inPage } from "./page_ways.js";
import { line } from "./text.js";

/** Reason and remedy of the codes that this client produces itself. */
const OWN = new Map([
  ["E100", ["the server violated the protocol", "reload the page; if that does not help, tell an admin"]],
  ["E101", ["the server sent too much at once", "reload the page; if that does not help, tell an admin"]],
  ["E102", ["the server sent something malformed", "reload the page; or tell an admin"]],
  ["E106", ["the server sent nothing in time", "wait: this page connects again by itself"]],
  ["E202", ["the certificate has expired", "ask an admin for a new invite"]],
  ["E209", ["this is not the server of the invite", "do not continue; check the address of the page"]],
  ["E215", ["this is not an invite", "copy the whole line again from where it came"]],
  ["E301", ["you are in no room", "choose a room first"]],
  ["E401", ["the message is too long", "split the message"]],
  ["E402", ["the text contains nothing visible", "write some text"]],
  ["E409", ["too many messages wait to be sent", "wait until some are sent"]],
  ["E503", ["the connection was cut meanwhile", "check the effect, then try again"]],
  ["E606", ["the browser does not store anything for this page", "leave private mode, or free disk space"]],
  ["E607", ["the server cannot be reached", "check the network; this page connects again by itself"]],
  ["E608", ["the identity in this browser cannot be used", "ask an admin for a new invite"]],
  ["E611", ["the server did not answer in time", "try again"]],
  ["E614", ["the page has an internal error", "reload the page, and report the message"]],
]);

/** A failure: `code`, `reason` (what happened) and `fix` (what to do), all safe to show. */
export class Fault extends Error {
  /**
   * @param {string} code
   * @param {string} [reason]
   * @param {string} [fix]
   */
  constructor(code, reason = "", fix = "") {
    const [ownReason, ownFix] = OWN.get(code) ?? ["", ""];
    super(code);
    this.name = "Fault";
    this.code = line(code);
    this.reason = line(reason) || ownReason;
    this.fix = inPage(line(fix)) || ownFix;
  }
}

/**
 * Return `error` as a Fault. Anything unexpected is a defect of the page.
 * @param {unknown} error
 * @returns {Fault}
 */
export function asFault(error) {
  if (error instanceof Fault) return error;
  const what = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
  return new Fault("E614", `the page failed: ${what}`);
}
