/** What a person has read of one conversation, on this device and on others. Pure. */

/** Seqs kept of unread messages; those of a longer flood are only counted. */
const ARRIVED_LIMIT = 10_000;
/** Unread mentions kept; more tell nobody more. */
const CALLS_LIMIT = 1_000;

/** Unread messages of others: those the server has counted, and those that arrived since. */
export class ReadState {
  /** Messages counted by the server up to `countedUpto`. */
  counted = 0;
  countedUpto = 0;
  /** @type {number[]} */
  arrived = [];
  /** Unread messages that address this user. @type {number[]} */
  calls = [];
  /** Where the unread messages begin, kept until the person leaves; 0 for nowhere. */
  first = 0;
  /** The read marker as the server knows it; 0 for none. */
  marker = 0;
  /** The newest message that was shown here. */
  seen = 0;
  /** Messages between these two seqs were not in view; null for none. @type {[number, number] | null} */
  gap = null;
  /** All messages up to this seq were in view. */
  viewed = 0;
  #isCounted = false;
  /** The server has to count again. */
  stale = false;

  /** The seq up to which everything was in view. */
  get readUpto() {
    return this.gap ? Math.min(this.seen, this.gap[0]) : this.seen;
  }

  get unread() {
    return this.counted + this.arrived.length;
  }

  /**
   * Count a message that is not on the screen; false if it was read or counted before.
   * @param {number} seq
   * @param {boolean} calls
   */
  arrive(seq, calls) {
    const last = this.arrived.at(-1) ?? 0;
    if (seq <= Math.max(this.marker, this.countedUpto, last)) return false;
    this.first ||= seq;
    this.arrived.push(seq);
    if (calls && this.calls.length < CALLS_LIMIT) this.calls.push(seq);
    if (this.arrived.length > ARRIVED_LIMIT) {
      const half = ARRIVED_LIMIT / 2;
      this.counted += half;
      this.countedUpto = this.arrived[half - 1];
      this.arrived.splice(0, half);
    }
    return true;
  }

  /**
   * Count nothing after a seq as read until `view` says that it is on the screen.
   * @param {number} [after] without it: nothing that is unread now
   */
  awaitView(after) {
    const begin = after ?? (Math.max(this.readUpto, this.marker, this.viewed) || Math.max(0, this.first - 1));
    this.gap = [this.gap ? Math.min(this.gap[0], begin) : begin, Infinity];
  }

  /**
   * Note that every message with a seq over `after` and up to `upto` is on the screen. The gap shrinks from its
   * two ends: one marker has to tell what was read.
   * @param {number} after
   * @param {number} upto Infinity while the end is in view
   */
  view(after, upto) {
    if (!this.gap) return;
    let [begin, end] = this.gap;
    if (after <= begin) begin = Math.max(begin, upto);
    if (upto >= end - 1) end = Math.min(end, after + 1);
    this.gap = begin + 1 < end ? [begin, end] : null;
    const newest = Math.max(this.seen, this.countedUpto, this.arrived.at(-1) ?? 0);
    this.viewed = this.gap ? begin : Math.min(upto, newest);
  }

  /** Count again what was not in view: the person leaves the conversation. */
  leaveView() {
    this.first = this.gap ? this.gap[0] + 1 : 0;
    if (!this.gap) return;
    this.seen = this.readUpto;
    this.gap = null;
    this.stale = true;
  }

  /** Stop counting anything as unread; false if nothing was. `view` says what was read. */
  readAll() {
    if (!this.unread) return false;
    this.awaitView();
    this.seen = Math.max(this.seen, this.counted ? this.countedUpto : 0, this.arrived.at(-1) ?? 0);
    this.#drop(this.seen);
    return true;
  }

  /**
   * Apply a marker, perhaps of another device; false if it changes no count.
   * @param {number} upto
   * @param {boolean} onScreen
   */
  moveMarker(upto, onScreen) {
    this.marker = Math.max(this.marker, upto);
    if (this.gap && upto > this.gap[0]) this.gap = upto + 1 < this.gap[1] ? [upto, this.gap[1]] : null;
    const before = this.unread;
    this.#drop(upto);
    if (!onScreen && this.first && this.first <= upto) this.first = this.unread ? upto + 1 : 0;
    return this.unread !== before;
  }

  /**
   * Apply the server's count of the messages after `marker` up to `cursor`.
   * @param {number} marker
   * @param {number} unread
   * @param {number} cursor
   * @param {boolean} onScreen
   */
  setCount(marker, unread, cursor, onScreen) {
    const isFirst = !this.#isCounted;
    this.#isCounted = true;
    this.marker = Math.max(this.marker, marker);
    this.stale = false;
    // Moved since the server counted, or about to be moved.
    if (marker < this.marker || (this.seen > marker && !isFirst)) return;
    if (unread) this.first = marker + 1;
    this.arrived = this.arrived.filter((seq) => seq > cursor);
    this.counted = unread;
    this.countedUpto = cursor;
    if (!this.unread) this.calls = [];
    if (!onScreen || !this.unread) return;
    // What has arrived since the start may have been in view, but not what the server has counted.
    if (isFirst) this.awaitView(marker);
    this.readAll();
  }

  /** Forget what is unread: nobody can read it here before the server counts again. */
  leave() {
    this.counted = this.countedUpto = this.first = this.viewed = 0;
    this.gap = null;
    this.arrived = [];
    this.calls = [];
  }

  /**
   * Forget everything about a log that continues differently after `seq`.
   * @param {number} seq
   */
  restore(seq) {
    this.leave();
    this.marker = 0;
    this.seen = Math.min(this.seen, seq);
    this.#isCounted = false;
    this.stale = true;
  }

  /** Return the marker to send to the server; 0 for none. */
  wantedMarker() {
    // A room without a marker: the next start would not know that this is unread.
    const seq = !this.marker && !this.readUpto && this.first ? this.first - 1 : this.readUpto;
    return seq > this.marker ? seq : 0;
  }

  /** @param {number} upto */
  #drop(upto) {
    this.arrived = this.arrived.filter((seq) => seq > upto);
    this.calls = this.calls.filter((seq) => seq > upto);
    if (upto >= this.countedUpto) this.counted = 0;
    else if (this.counted) this.stale = true;
  }
}
