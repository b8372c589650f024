// The conversation of the screenshots and of the views' tests; all names are invented.

const LOG = `2026-11-27 08:02:11 db1 kernel: swap usage 94%
2026-11-27 08:02:40 db1 postgres[812]: autovacuum: table "orders"
2026-11-27 08:03:02 db1 postgres[812]: checkpoints are occurring too frequently
2026-11-27 08:03:31 db1 kernel: page allocation stalls for 2010ms
2026-11-27 08:03:58 db2 walreceiver: replica is 14 s behind
2026-11-27 08:04:12 db3 walreceiver: replica is 19 s behind
${Array.from({ length: 24 }, (_, at) => `2026-11-27 08:05:${String(at + 10)} db1 kernel: page allocation stalls for ${at * 31 + 900}ms`).join("\n")}`;

/** @param {import("./fake_client.js").FakeClient} server */
export function play(server) {
  const say = (user, body, more) => server.log("#incident", user, body, more).seq;
  const joined = (user) => {
    server.seq += 1;
    const at = Date.UTC(2026, 10, 26, 8, 0, 0) + server.seq * 20_000;
    if (!server.logs.has("#incident")) server.logs.set("#incident", []);
    server.logs.get("#incident").push({ type: "joined", seq: server.seq, at, room: "#incident", user, role: "user", by: user });
  };
  joined("bob");
  joined("carol");
  const question = say("alice", "db1 has been swapping for an hour, who is on it?");
  say("bob", "me. moving the load over, five minutes");
  say("bob", "graphs: https://grafana.example.net/d/db1 and the **runbook** is at https://wiki.example.net/db1");
  say("carol", "The long version: the nightly vacuum overlapped with an import that was started by hand, so the working set no longer fits and every query walks through swap. I have paused the import; it resumes at night.\n```\n$ free -m\n              total   used   free\nMem:          64215  63110    201\nSwap:          8191   7920    271\n```");
  say("dana", "thanks! can you try `vm.swappiness=1` first?", { reply_to: question, reactions: [{ text: "+1", count: 3, mine: true }, { text: "\u2713", count: 1, mine: false }] });
  say("carol", LOG, { kind: "snippet" });
  say("carol", "alice: your turn, the failover needs your key", { reply_to: question });
  say("eve", "is watching the graphs", { kind: "action" });
  say("alice", "starting the failover now", { edited: 5 });
  say("alice", "two minutes of read-only, then we are on db2");
  say("bob", "replica 1 has caught up, replica 2 is a minute behind");
  for (let count = 0; count < 4; count += 1) server.log("#deploys", "bob", `build ${count + 411} is out`);
  server.log("#random", "eve", "alice: lunch?");
  server.log("#lobby", "carol", "good morning");
  server.log("@alice,bob", "bob", "call me when it is over");
  server.log("@alice,carol", "carol", "thank you!");
}
