// Show a part of a long list: only the rows near the viewport are in the page.
//
// Heights are estimated until a row has been shown, then measured. Whatever changes above the first row in
// view, that row stays where it is on the screen; a list that was at its end stays at its end.

import { h } from "./dom.js";

/**
 * @typedef {object} Row
 * @property {string} key the same for the same row, for ever
 * @property {any} value rows with another value are drawn anew
 */

// Rows beyond the viewport, in pixels: what a flick of the wheel shows before the next frame.
const OVERSCAN = 600;
// Distance from the end within which the list counts as being at its end.
const END = 40;
const ESTIMATE = 44;
const ROUNDS = 4;

export class VirtualList {
  /**
   * @param {HTMLElement} scroller the element that scrolls
   * @param {(value: any, key: string) => HTMLElement} draw
   * @param {{onTop?: () => void, onScroll?: () => void, onFocusLost?: () => void}} [listeners]
   *   `onTop`: the beginning is near; `onFocusLost`: a row is gone that had the focus
   */
  constructor(scroller, draw, listeners = {}) {
    this.scroller = scroller;
    this.draw = draw;
    this.listeners = listeners;
    /** @type {Row[]} */
    this.rows = [];
    /** @type {Map<string, number>} */
    this.places = new Map();
    /** @type {Map<string, number>} */
    this.heights = new Map();
    /** @type {Map<string, {value: any, element: HTMLElement}>} */
    this.drawn = new Map();
    this.offsets = new Float64Array(1);
    this.stuck = true;
    this.frame = 0;
    this.content = h("div.rows");
    this.space = h("div.space", {}, this.content);
    scroller.append(this.space);
    scroller.addEventListener("scroll", () => this.#scrolled(), { passive: true });
    this.watcher = new ResizeObserver(() => this.#resized());
    this.watcher.observe(scroller);
    this.watcher.observe(this.content);
    this.width = 0;
  }

  /** Whether the end of the list is in view. */
  get atEnd() {
    const { scrollTop, scrollHeight, clientHeight } = this.scroller;
    return scrollHeight - scrollTop - clientHeight <= END;
  }

  /** @param {Row[]} rows @param {{forget?: boolean}} [options] `forget`: another list; go to its end */
  set(rows, { forget = false } = {}) {
    const anchor = forget ? [] : this.#anchor();
    if (forget) {
      this.heights.clear();
      this.drawn.clear();
      this.stuck = true;
    }
    this.rows = rows;
    this.places = new Map(rows.map((row, place) => [row.key, place]));
    for (const key of this.drawn.keys()) if (!this.places.has(key)) this.drawn.delete(key);
    this.#measureAll();
    this.#hold(anchor);
  }

  /** Bring a row into view. @param {string} key @param {"start" | "center"} [where] @returns {boolean} */
  show(key, where = "center") {
    const place = this.places.get(key);
    if (place === undefined) return false;
    this.stuck = false;
    // Twice: the rows around it are measured by the first time.
    for (let round = 0; round < 2; round += 1) {
      const lead = where === "start" ? 8 : (this.scroller.clientHeight - this.#height(place)) / 2;
      this.scroller.scrollTop = this.offsets[place] - Math.max(8, lead);
      this.#render();
    }
    return true;
  }

  /** Go to the end and stay there. */
  toEnd() {
    this.stuck = true;
    this.#render();
    this.scroller.scrollTop = this.scroller.scrollHeight;
    this.#render();
  }

  /** @param {string} key @returns {HTMLElement | undefined} the element of a row that is near the view */
  element(key) {
    return this.drawn.get(key)?.element;
  }

  /** The rows that are in view. @returns {Row[]} */
  inView() {
    const { scrollTop, clientHeight } = this.scroller;
    const first = this.#placeAt(scrollTop);
    const last = this.#placeAt(scrollTop + clientHeight - 1);
    return this.rows.slice(first, last + 1);
  }

  #scrolled() {
    this.stuck = this.atEnd;
    if (this.frame) return;
    this.frame = requestAnimationFrame(() => {
      this.frame = 0;
      this.#render();
      this.listeners.onScroll?.();
      if (this.scroller.scrollTop < 2 * OVERSCAN) this.listeners.onTop?.();
    });
  }

  #resized() {
    const anchor = this.#anchor();
    if (this.width !== this.scroller.clientWidth) {
      this.width = this.scroller.clientWidth;
      this.heights.clear();
    }
    this.#measureAll();
    this.#hold(anchor);
  }

  /** The rows in view and their distances from the upper edge. @returns {[string, number][]} */
  #anchor() {
    if (this.stuck || !this.rows.length) return [];
    const first = this.#placeAt(this.scroller.scrollTop);
    return this.inView().map(({ key }, at) => [key, this.offsets[first + at] - this.scroller.scrollTop]);
  }

  /** The first of the rows that is still there: a day line may not be. @param {[string, number][]} anchor */
  #anchored(anchor) {
    const found = anchor.find(([key]) => this.places.has(key));
    return found && this.offsets[/** @type {number} */ (this.places.get(found[0]))] - found[1];
  }

  /** @param {[string, number][]} anchor */
  #hold(anchor) {
    const top = this.#anchored(anchor);
    if (top !== undefined) {
      this.space.style.height = `${this.offsets[this.rows.length]}px`;
      this.scroller.scrollTop = top;
    }
    this.#render();
    if (this.stuck) this.scroller.scrollTop = this.scroller.scrollHeight;
  }

  /** Measured rows may leave room for others, which are drawn in the next round. */
  #render() {
    for (let round = 0, shown = ""; round < ROUNDS; round += 1) {
      const [first, last] = this.#range();
      if (shown === `${first} ${last}`) return;
      shown = `${first} ${last}`;
      const elements = this.rows.slice(first, last).map((row) => this.#element(row));
      this.#place(elements);
      this.content.style.transform = `translateY(${this.offsets[first]}px)`;
      this.#measure(first, last, elements);
    }
  }

  /** @returns {[number, number]} */
  #range() {
    const { scrollTop, clientHeight } = this.scroller;
    const total = this.offsets[this.rows.length];
    const top = this.stuck ? Math.max(0, total - clientHeight) : scrollTop;
    const first = this.#placeAt(top - OVERSCAN);
    return [first, Math.min(this.rows.length, this.#placeAt(top + clientHeight + OVERSCAN) + 1)];
  }

  /** Make `elements` the children, moving none that is there already: focus and selection stay.
   * @param {HTMLElement[]} elements */
  #place(elements) {
    const wanted = new Set(elements);
    const had = this.content.contains(document.activeElement);
    for (const old of [...this.content.children]) if (!wanted.has(old)) old.remove();
    if (had && document.activeElement === document.body) queueMicrotask(() => this.#focusLost());
    let next = this.content.firstElementChild;
    for (const element of elements) {
      if (element === next) next = next.nextElementSibling;
      else this.content.insertBefore(element, next);
    }
  }

  /** Unless the same row, drawn anew, has it again. */
  #focusLost() {
    if (document.activeElement === document.body) this.listeners.onFocusLost?.();
  }

  /** @param {Row} row @returns {HTMLElement} */
  #element(row) {
    const known = this.drawn.get(row.key);
    if (known && known.value === row.value) return known.element;
    const element = this.draw(row.value, row.key);
    if (known?.element.contains(document.activeElement)) queueMicrotask(() => element.focus());
    this.drawn.set(row.key, { value: row.value, element });
    return element;
  }

  /** Measure what is shown; correct the place of the view by what has changed above it.
   * @param {number} first @param {number} last @param {HTMLElement[]} elements */
  #measure(first, last, elements) {
    const anchor = this.#anchor();
    let changed = false;
    elements.forEach((element, index) => {
      const { key } = this.rows[first + index];
      const height = element.getBoundingClientRect().height;
      if (height && Math.abs((this.heights.get(key) ?? -1) - height) > 0.4) {
        this.heights.set(key, height);
        changed = true;
      }
    });
    if (!changed) return;
    this.#measureAll();
    this.content.style.transform = `translateY(${this.offsets[first]}px)`;
    const top = this.#anchored(anchor);
    if (this.stuck) this.scroller.scrollTop = this.scroller.scrollHeight;
    else if (top !== undefined && Math.abs(top - this.scroller.scrollTop) > 1) this.scroller.scrollTop = top;
  }

  #measureAll() {
    const offsets = new Float64Array(this.rows.length + 1);
    this.rows.forEach((row, place) => (offsets[place + 1] = offsets[place] + this.#height(place)));
    this.offsets = offsets;
    this.space.style.height = `${offsets[this.rows.length]}px`;
  }

  /** @param {number} place */
  #height(place) {
    return this.heights.get(this.rows[place].key) ?? ESTIMATE;
  }

  /** The row at a distance from the beginning. @param {number} top @returns {number} */
  #placeAt(top) {
    let [low, high] = [0, Math.max(0, this.rows.length - 1)];
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (this.offsets[middle] <= top) low = middle;
      else high = middle - 1;
    }
    return low;
  }
}
