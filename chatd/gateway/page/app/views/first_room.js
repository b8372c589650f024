// Which conversation to show when none is on the screen.

import { recall, remember } from "./notify.js";

const LAST_ROOM = "chatd.room";
const LOBBY = "#lobby";
// Without a connection, what this browser has kept can be read.
const CUT_OFF = ["reconnecting", "ended"];

/** @param {any} model @returns {string} "" for none */
export function firstRoom(model) {
  const live = model.phase === "connected";
  if (!live && !CUT_OFF.includes(model.phase)) return "";
  const listed = model.listed().filter((/** @type {any} */ one) => !one.left && (live || one.loaded));
  const names = listed.map((/** @type {any} */ one) => one.name);
  const last = recall(LAST_ROOM);
  return [last, LOBBY].find((one) => names.includes(one)) ?? names[0] ?? "";
}

/** Come back to this one after a reload. @param {string} name */
export function rememberRoom(name) {
  remember(LAST_ROOM, name);
}
