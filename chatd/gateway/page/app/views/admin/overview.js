// What `chatctl top` and `chatctl stats` know, drawn.

import { fill, h, svg } from "../dom.js";
import { explain } from "../dialogs.js";
import { duration } from "../times.js";
import { clusterProblems, clusterSection } from "./cluster_view.js";
import { Plot } from "./plots.js";
import { section, table } from "./table.js";

// As `chatctl top`: each sample is one request, and one ping.
const EVERY_MS = 2_000;
const SPARK = 40;

const count = (/** @type {number} */ value) => value.toLocaleString("en");
const rate = (/** @type {number} */ value) => `${value < 10 ? value.toFixed(1) : count(Math.round(value))}/s`;
const percent = (/** @type {number} */ value) => `${value.toFixed(value < 10 ? 1 : 0)}%`;
const size = (/** @type {number} */ value) => `${(value / 1_048_576).toFixed(0)} MiB`;
const time = (/** @type {number} */ value) => `${value.toFixed(1)} ms`;
const number = (/** @type {any} */ value) => (typeof value === "number" ? value : 0);

export class Overview {
  /** @param {import("./admin_page.js").AdminPage} page */
  constructor(page) {
    this.model = page.model;
    this.timer = 0;
    /** @type {{at: number, stats: any} | null} */
    this.before = null;
    /** @type {Map<string, number[]>} */
    this.processes = new Map();
    this.plots = {
      accepted: new Plot("Messages accepted", rate, { top: 1 }),
      delivered: new Plot("Messages delivered", rate, { top: 1 }),
      latency: new Plot("Latency of a ping", time, { top: 1 }),
      sessions: new Plot("Connections", count, { top: 1 }),
      cpu: new Plot("CPU of the machine", percent, { top: 100 }),
      memory: new Plot("Memory of all processes", size),
    };
    this.facts = h("p.quiet");
    this.alarms = h("div.stack");
    this.table = h("div");
    this.cluster = h("div");
    this.element = h(
      "div.stack",
      {},
      this.alarms,
      this.facts,
      h("div.plots", {}, Object.values(this.plots).map((one) => one.element)),
      this.cluster,
      section("Processes", this.table),
    );
  }

  async open() {
    clearTimeout(this.timer);
    await this.#sample();
    this.#again();
  }

  close() {
    clearTimeout(this.timer);
    this.timer = -1;
  }

  #again() {
    if (this.timer === -1) return;
    this.timer = setTimeout(async () => {
      if (!document.hidden && this.element.isConnected) {
        await this.#sample().catch((error) => fill(this.alarms, h("p.note.warn", { role: "status" }, explain(error))));
      }
      this.#again();
    }, EVERY_MS);
  }

  async #sample() {
    const began = performance.now();
    await this.model.request("ping");
    const at = performance.now();
    const stats = await this.model.admin.stats();
    const seconds = this.before ? (at - this.before.at) / 1_000 : 0;
    const grown = (/** @type {string} */ name) => {
      const more = number(stats.messages?.[name]) - number(this.before?.stats.messages?.[name]);
      // A new hub counts from 0 again.
      return seconds ? Math.max(0, more) / seconds : 0;
    };
    const processes = Array.isArray(stats.processes) ? stats.processes : [];
    if (seconds) {
      this.plots.accepted.add(grown("accepted"));
      this.plots.delivered.add(grown("delivered"));
    }
    this.plots.latency.add(at - began);
    this.plots.sessions.add(number(stats.connections?.now));
    this.plots.cpu.add(number(stats.box?.cpu));
    this.plots.memory.add(processes.reduce((/** @type {number} */ sum, /** @type {any} */ one) => sum + number(one.rss), 0));
    this.before = { at, stats };
    this.#tell(stats, processes);
  }

  /** @param {any} stats @param {any[]} processes */
  #tell(stats, processes) {
    const { connections = {}, messages = {} } = stats;
    fill(
      this.facts,
      [
        `${stats.server} with chatd ${stats.version}, up ${duration(number(stats.uptime))}`,
        `${count(number(connections.total))} connections in total, ${count(number(connections.limit))} at most`,
        `${count(number(messages.accepted))} messages accepted, ${count(number(messages.filtered))} filtered, ${count(number(messages.refused))} refused`,
        `${count(number(stats.rooms))} rooms, ${count(number(stats.users))} users, last in the log: ${count(number(stats.head))}`,
        `${count(number(stats.crypto_errors))} crypto errors, memory of the machine ${percent(number(stats.box?.memory))}`,
      ].join(" \u00b7 "),
    );
    fill(
      this.alarms,
      stats.writable === false && h("p.note.bad", { role: "alert" }, "The disk is full: the server only reads. To do: free disk space (E504)."),
      processes.some((one) => one.ca_key === false) &&
        h("p.note.warn", { role: "alert" }, "The CA's key is away: nobody can join and nothing is renewed (W118)."),
      clusterProblems(stats.cluster).map((one) => h("p.note.warn", { role: "alert" }, one)),
    );
    fill(this.cluster, clusterSection(stats.cluster));
    const names = ["Process", "State", "CPU", "", "Memory", "Threads", "Up", "Restarts"];
    fill(this.table, table("Processes", names, processes.map((one) => this.#process(one)), "The server names no process."));
  }

  /** @param {any} one */
  #process(one) {
    const values = this.processes.get(one.name) ?? [];
    values.push(number(one.cpu));
    this.processes.set(one.name, values.slice(-SPARK));
    return [
      one.name, one.state, percent(number(one.cpu)), spark(values), size(number(one.rss)),
      String(number(one.threads)), duration(number(one.uptime)), String(number(one.restarts)),
    ];
  }
}

/** @param {number[]} values percent */
function spark(values) {
  const full = Math.max(100, ...values);
  const points = values.slice(-SPARK).map((one, at) => `${at * 2} ${(17 - (one / full) * 16).toFixed(1)}`);
  return svg("svg", { class: "spark", viewBox: `0 0 ${SPARK * 2} 18`, "aria-hidden": true }, svg("path", { class: "line", d: `M${points.join("L")}` }));
}
