// Certificates of all devices, those that end soon first.

import { h } from "../dom.js";
import { duration, when } from "../times.js";
import { table } from "./table.js";

const DAY_MS = 86_400_000;
// A certificate lives 90 days or less here; a bar shows how much of it is left.
const BAR_DAYS = 90;
const SOON_DAYS = 14;

export class CertificatesTab {
  /** @param {import("./admin_page.js").AdminPage} page */
  constructor(page) {
    this.model = page.model;
    this.element = h("div.stack");
  }

  async open() {
    const all = await this.model.admin.certificates();
    const rank = (/** @type {any} */ one) => (one.state === "valid" ? 0 : 1);
    all.sort((/** @type {any} */ one, /** @type {any} */ other) => rank(one) - rank(other) || (one.ends ?? 0) - (other.ends ?? 0));
    const valid = all.filter((/** @type {any} */ one) => one.state === "valid");
    const soon = valid.filter((/** @type {any} */ one) => one.ends && one.ends - Date.now() < SOON_DAYS * DAY_MS);
    this.element.replaceChildren(
      h(`p.note${soon.length ? ".warn" : ""}`, {}, `${valid.length} valid, ${soon.length} of them end within ${SOON_DAYS} days. Programs renew theirs by themselves after two thirds of the time.`),
      table("Certificates by expiry", ["Device", "State", "Left", "", "Ends", "Serial", "Let in by"], all.map(row), "There is no certificate."),
    );
  }
}

/** @param {any} one */
function row(one) {
  const left = one.ends ? one.ends - Date.now() : 0;
  const days = left / DAY_MS;
  const colour = one.state !== "valid" ? "quiet" : days < 7 ? "bad" : days < SOON_DAYS ? "warn" : "good";
  const shown = one.state === "valid" && one.ends ? duration(left / 1_000) : "";
  return [
    `${one.user}/${one.device}`,
    h(`span.${colour}`, {}, one.state),
    shown,
    h("meter", { min: "0", max: String(BAR_DAYS), low: "7", high: String(SOON_DAYS), optimum: String(BAR_DAYS), value: String(Math.max(0, Math.min(BAR_DAYS, shown ? days : 0))), "aria-label": "Days left" }),
    one.ends ? when(one.ends) : "unknown",
    h("code", {}, one.serial),
    one.by ?? "",
  ];
}
