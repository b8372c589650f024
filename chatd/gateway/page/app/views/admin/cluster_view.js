// What the stats tell of a cluster: its nodes, and what is wrong with them. Nothing of a server alone.

import { h } from "../dom.js";
import { duration } from "../times.js";
import { section, table } from "./table.js";

// As chatd/console/cluster_text.py.
const LAG_SECONDS = 10;
const SKEW_SECONDS = 2;

/** @typedef {Record<string, any>} Row */

/**
 * What is wrong, each with what to do.
 * @param {Row | undefined} cluster
 * @returns {string[]}
 */
export function clusterProblems(cluster) {
  if (!cluster) return [];
  /** @type {Row[]} */
  const nodes = Array.isArray(cluster.members) ? cluster.members : [];
  const versions = new Set(nodes.map((one) => one.version).filter(Boolean));
  return [
    ...(cluster.isolated
      ? [`This machine is cut off from the others; what it shows may be old. To do: mend the network (E506).`]
      : cluster.quorum !== false
        ? []
        : ["No majority of the machines: nothing can be written. To do: start one of them (E506)."]),
    ...(cluster.chain_equal === false ? ["The logs of the machines differ. To do: see docs/cluster.md (E621)."] : []),
    ...(versions.size > 1 ? [`The versions differ: ${[...versions].sort().join(", ")}. To do: update the others (W119).`] : []),
    ...nodes.flatMap(nodeProblems),
  ];
}

/** @param {Row} node @returns {string[]} */
function nodeProblems(node) {
  if (!node.answers) return [`Node ${node.node} is silent. To do: start it, or replace it (E607).`];
  return [
    ...(node.behind_seconds > LAG_SECONDS ? [`Node ${node.node} has been ${node.behind} events behind for ${duration(node.behind_seconds)}. To do: look at chatd status there (E506).`] : []),
    ...(Math.abs(node.skew) > SKEW_SECONDS ? [`The clock of node ${node.node} differs by ${node.skew} s. To do: let all nodes use NTP (E612).`] : []),
    ...(node.stream_current === false ? [`The NATS server of node ${node.node} is behind. To do: wait; then restart that node (E506).`] : []),
  ];
}

/** @param {Row | undefined} cluster @returns {HTMLElement | null} */
export function clusterSection(cluster) {
  if (!cluster) return null;
  /** @type {Row[]} */
  const nodes = Array.isArray(cluster.members) ? cluster.members : [];
  const { append_ms: append = {}, stream = {} } = cluster;
  const facts = [
    `This is ${cluster.node}; ${cluster.leader} leads, epoch ${cluster.epoch}`,
    `${cluster.copies} copies of the log`,
    `${cluster.claims_per_hour} changes of the lead in an hour`,
    ...(append.p50 === null || append.p50 === undefined ? [] : [`append ${append.p50} ms, p99 ${append.p99} ms`]),
    ...(stream.bytes === undefined ? [] : [`stream of ${stream.messages} messages, ${(stream.bytes / 1_048_576).toFixed(1)} MiB`]),
  ];
  const names = ["Node", "State", "Event", "Behind", "Clock", "Version"];
  const rows = nodes.map((one) => [
    one.node,
    one.answers ? (one.leads ? "leads" : "follows") : "silent",
    String(one.head),
    one.behind ? `${one.behind} for ${duration(one.behind_seconds)}` : "",
    `${one.skew} s`,
    one.version,
  ]);
  return section("Cluster", h("p.quiet", {}, facts.join(" \u00b7 ")), table("Nodes", names, rows, "The server names no node."));
}
