// Small plots: a line over the last minutes, its newest value, and its highest.

import { fill, h, svg } from "../dom.js";

const [WIDTH, HEIGHT] = [240, 56];
// Samples kept: five minutes at one every two seconds.
export const SAMPLES = 150;

export class Plot {
  /**
   * @param {string} title
   * @param {(value: number) => string} format
   * @param {{top?: number}} [options] `top`: the least upper end of the scale
   */
  constructor(title, format, { top = 0 } = {}) {
    this.title = title;
    this.format = format;
    this.top = top;
    /** @type {number[]} */
    this.values = [];
    this.now = h("strong");
    this.most = h("span.quiet.small");
    this.area = svg("path", { class: "area" });
    this.line = svg("path", { class: "line" });
    this.drawing = svg(
      "svg",
      { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img", "aria-label": `${title}: no figure yet` },
      svg("path", { class: "grid", d: `M0 ${HEIGHT / 2}H${WIDTH}M0 ${HEIGHT - 0.5}H${WIDTH}` }),
      this.area,
      this.line,
    );
    this.element = h("figure.plot", {}, h("figcaption.row", {}, h("span.grow.quiet", {}, title), this.now), this.drawing, this.most);
  }

  /** @param {number} value */
  add(value) {
    this.values.push(value);
    if (this.values.length > SAMPLES) this.values.shift();
    const highest = Math.max(...this.values);
    const full = Math.max(this.top, highest) || 1;
    const x = (/** @type {number} */ at) => WIDTH - ((this.values.length - 1 - at) * WIDTH) / (SAMPLES - 1);
    const y = (/** @type {number} */ one) => HEIGHT - 1 - (one / full) * (HEIGHT - 4);
    const points = this.values.map((one, at) => `${x(at).toFixed(1)} ${y(one).toFixed(1)}`);
    this.line.setAttribute("d", `M${points.join("L")}`);
    this.area.setAttribute("d", `M${x(0).toFixed(1)} ${HEIGHT}L${points.join("L")}L${WIDTH} ${HEIGHT}Z`);
    this.now.textContent = this.format(value);
    fill(this.most, `highest ${this.format(highest)}`);
    const label = `${this.title}: ${this.format(value)} now, ${this.format(highest)} at most in the last minutes`;
    this.drawing.setAttribute("aria-label", label);
  }
}
