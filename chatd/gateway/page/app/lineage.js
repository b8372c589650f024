/** Where the log that a cursor belongs to and the server's log part (docs/protocol.md, section 9). */

/** @typedef {{id: string, began: number}} Branch */

/**
 * Return the branches in a JSON value; none for anything else.
 * @param {unknown} value
 * @returns {Branch[]}
 */
export function branchesOf(value) {
  const isBranch = (/** @type {any} */ one) =>
    typeof one?.id === "string" && Number.isSafeInteger(one.began) && one.began >= 0;
  const branches = Array.isArray(value) && value.every(isBranch) ? value : [];
  return branches.map(({ id, began }) => ({ id, began }));
}

/**
 * Return the last seq that is the same event in both logs; null if they are one log.
 * @param {Branch[]} known none for a client that never received a lineage: it has seen the first log
 * @param {Branch[]} current
 */
function commonPoint(known, current) {
  if (!current.length) return null;
  const kept = known.length ? known : current.slice(0, 1);
  for (let at = current.length - 1; at >= 0; at -= 1) {
    const place = kept.findIndex((branch) => branch.id === current[at].id);
    if (place < 0) continue;
    const next = [current[at + 1], kept[place + 1]].filter(Boolean).map((branch) => branch.began);
    return next.length ? Math.min(...next) : null;
  }
  return 0;
}

/**
 * Return the seq up to which a cursor is good; null if it is good as it is.
 * @param {number} cursor
 * @param {Branch[]} known
 * @param {{head: number, lineage: unknown, clustered?: boolean}} welcome
 */
export function lastCommon(cursor, known, welcome) {
  const seq = commonPoint(known, branchesOf(welcome.lineage));
  // A node of a cluster may be behind the one before it, and gets what it lacks.
  if (welcome.clustered) return seq;
  // A log that is shorter than the cursor is an old copy, put back by hand.
  if (seq === null) return cursor > welcome.head ? welcome.head : null;
  return Math.min(seq, welcome.head);
}
