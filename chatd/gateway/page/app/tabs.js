/** One tab of a browser has the session and the outbox; the others wait for it. */

const NAME = "chatd-session";

export class TabLock {
  /** @type {AbortController|null} */
  #asking = null;
  #release = () => {};
  isMine = false;

  /** @param {{got: () => void, waits: () => void, lost: () => void}} ends */
  constructor(ends) {
    this.ends = ends;
  }

  /** Get the lock now or once the tab that has it is closed. */
  ask() {
    // Without locks (no secure context) there is no identity either.
    if (!navigator.locks) {
      this.#got();
      return;
    }
    this.#asking = new AbortController();
    const { signal } = this.#asking;
    void navigator.locks.query().then(({ held = [] }) => {
      if (!this.isMine && held.some((lock) => lock.name === NAME)) this.ends.waits();
    });
    navigator.locks.request(NAME, { signal }, () => this.#hold()).catch(() => this.#stolen());
  }

  /** Take the lock from the tab that has it. */
  steal() {
    if (this.isMine || !navigator.locks) return;
    this.#asking?.abort();
    navigator.locks.request(NAME, { steal: true }, () => this.#hold()).catch(() => this.#stolen());
  }

  /** Give the lock to another tab. */
  release() {
    this.isMine = false;
    this.#release();
  }

  #hold() {
    const held = new Promise((resolve) => (this.#release = () => resolve(undefined)));
    this.#got();
    return held;
  }

  #got() {
    this.isMine = true;
    this.ends.got();
  }

  #stolen() {
    // An aborted request has never had the lock.
    if (!this.isMine) return;
    this.isMine = false;
    this.ends.lost();
    this.ask();
  }
}
