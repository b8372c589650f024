// A server inside the page: the views' tests need rooms, people and thousands of messages, not a network.

import { Fault } from "/app/fault.js";

const DAY = 86_400_000;
const BEGAN = Date.UTC(2026, 10, 26, 8, 0, 0);

/** Answers the model's requests from tables that a test fills. */
export class FakeClient {
  constructor(options = {}) {
    this.options = { identity: true, messages: 0, role: "admin", ...options };
    this.seq = 100;
    this.logs = new Map();
    this.requests = [];
    this.refuse = {};
  }

  async start() {
    const { model } = this;
    model.phase = this.options.identity ? "connecting" : "no-identity";
    model.identity = { keyHash: "ab".repeat(32), caHash: "cd".repeat(32) };
    model.touch("state");
    if (this.options.identity) this.connect();
  }

  async join(code) {
    if (!code.includes("GOOD")) throw new Fault("E215");
    this.connect();
  }

  async forget() {
    this.forgotten = true;
  }

  keepDraft() {}
  rowsCame() {}
  drop() {}
  rowsCame() {}
  drop() {}
  tryNow() {
    this.connect();
  }
  takeOver() {
    this.connect();
  }

  connect() {
    this.model.take([{ type: "connected", welcome: this.welcome() }, { type: "caught-up" }]);
    this.model.certificateEnds = Date.now() + 80 * DAY;
  }

  welcome() {
    const rooms = ["#deploys", "#incident", "#lobby", "#night-shift", "#random", "#security", "@alice,bob", "@alice,carol"];
    return {
      user: "alice", device: "firefox", instance: "lab", role: this.options.role, version: "1.0", rooms, invites: ["#board"],
      head: this.seq, time: Date.now(), long_text: "snippet", lineage: [], protocol: 1,
      permissions: this.options.permissions ?? ADMIN_PERMISSIONS,
      limits: { message_chars: 4000, snippet_bytes: 30000, topic_chars: 200, rooms: 50, history_on_join: 50, idle_seconds: 60, messages_per_minute: 600, burst: 50 },
    };
  }

  /** A message in the log; not told to the model. */
  log(room, user, body, more = {}) {
    this.seq += 1;
    const event = {
      type: "message", seq: this.seq, at: BEGAN + this.seq * 20_000, room, user, device: "laptop",
      role: user === "alice" ? "admin" : user === "guest-eva" ? "guest" : "user", msg_id: String(this.seq).padStart(32, "0"),
      kind: "text", body, reply_to: null, edited: null, reactions: [], ...more,
    };
    if (!this.logs.has(room)) this.logs.set(room, []);
    this.logs.get(room).push(event);
    return event;
  }

  /** A message that arrives now. */
  arrive(room, user, body, more = {}) {
    const event = this.log(room, user, body, { at: Date.now(), ...more });
    this.model.take([event]);
    return event;
  }

  async send(draft) {
    const sent = { ...draft, msgId: crypto.randomUUID().replaceAll("-", ""), at: Date.now(), order: 1 };
    this.model.pending(sent);
    const room = this.model.resolve(draft.to);
    setTimeout(() => {
      if (draft.body.includes("forbidden") && !draft.anyway) {
        const fault = new Fault("E400", "the message contains the forbidden word 'forbidden'", "rephrase it, or send it anyway");
        this.model.take([{ type: "refused", sent, fault }]);
        return;
      }
      if (draft.edits) {
        const { user, device, role, kind } = this.logs.get(room).find((one) => one.seq === draft.edits);
        this.seq += 1;
        const edited = { type: "edited", seq: this.seq, at: Date.now(), room, target: draft.edits, user, device, role, kind, msg_id: sent.msgId, body: draft.body, reply_to: null, replaces: [] };
        this.model.take([edited]);
        return;
      }
      this.arrive(room, "alice", draft.body, { msg_id: sent.msgId, kind: draft.kind, reply_to: draft.replyTo || null });
    }, 5);
    return sent;
  }

  async invite(kind, fields) {
    this.requests.push({ kind, ...fields });
    return { code: "127.0.0.1:5000/0ABC-DEF", link: "https://127.0.0.1:5443/#0ABC-DEF", user: fields.user, until: Date.now() + DAY };
  }

  background(act) {
    void act();
  }

  async request(kind, fields = {}) {
    this.requests.push({ kind, ...fields });
    if (this.refuse[kind]) throw this.refuse[kind];
    const answer = ANSWERS[kind];
    return answer ? answer(this, fields) : {};
  }
}

const ADMIN_PERMISSIONS = [
  "message.read", "message.send", "message.delete", "room.list", "room.join", "room.create", "room.topic", "dm.send",
  "presence.read", "search", "away.set", "filter.override", "moderate.kick", "moderate.ban", "moderate.mute",
  "moderate.redact", "message.review", "role.set", "role.show", "user.list", "device.revoke", "user.remove", "stats.read",
  "audit.read", "invite.create", "announce", "device.add", "room.hold", "room.archive", "room.remove", "guest.manage",
];
const USERS = [["alice", "admin", "online", ""], ["bob", "user", "online", ""], ["carol", "user", "online", ""], ["dana", "user", "away", "lunch"], ["eve", "user", "online", ""], ["guest-eva", "guest", "offline", ""]];
const device = (user, name, key, more = {}) => ({ user, device: name, revoked: false, online: true, key: key.repeat(32), ...more });

const ANSWERS = {
  history: (server, { room, before, limit = 100 }) => {
    const all = (server.logs.get(room) ?? []).filter((event) => !before || event.seq < before);
    return { events: all.slice(-limit), cursor: server.seq, more: all.length > limit };
  },
  messages: (server, { room, seqs }) => ({ events: (server.logs.get(room) ?? []).filter((event) => seqs.includes(event.seq)), more: false }),
  who: (server, { room }) => {
    const users = room.startsWith("@") ? USERS.filter(([user]) => room.slice(1).split(",").includes(user)) : USERS;
    return { members: users.map(([user, role, state, text]) => ({ user, role, state, text })), more: false };
  },
  unread: (server) => ({ rooms: server.unread ?? [], cursor: server.seq, more: false }),
  rooms: () => ({ rooms: [["#deploys", "what goes out"], ["#incident", "db1 is swapping"], ["#lobby", ""], ["#security", "closed"], ["#random", ""], ["#board", "by invitation"]].map(([room, topic]) => ({ room, topic, members: 5, joined: room !== "#board", invited: room === "#board", guests: false, archived: false, mode: room === "#security" ? "members" : "open", history: "all" })), more: false }),
  whois: (server, { user }) => ({ user, role: user === "alice" ? "admin" : "user", state: "online", text: "", rooms: ["#incident", "#lobby"], banned: false, devices: [device(user, "firefox", user === "alice" ? "ab" : "ef"), device(user, "old", "01", { revoked: true })] }),
  devices: () => ({ certificates: certificates().filter((one) => one.user === "alice"), more: false }),
  certificates: () => ({ certificates: certificates(), more: false }),
  room_info: (server, { room }) => ({ room, topic: "db1 is swapping; both replicas are behind", guests: false, members: 5, archived: false, mode: "open", history: "all", joined: true, owners: server.owners ?? ["alice"], invitations: server.invitations ?? [] }),
  search: (server, { query, before }) => {
    if (server.found && !server.found(query)) return { events: [], more: false, partial: false };
    const all = [...server.logs.values()].flat().filter((event) => event.body?.includes(query.split(" ")[0].replaceAll("*", "")) && (!before || event.seq < before));
    return { events: all.sort((one, other) => other.seq - one.seq).slice(0, 50), more: all.length > 50, partial: false };
  },
  reactions: () => ({ reactions: [{ text: "+1", count: 2, users: ["bob", "carol"] }], more: false }),
  react: (server, { room, seq, text, on }) => {
    server.seq += 1;
    server.model.take([{ type: "reacted", seq: server.seq, at: Date.now(), room, target: seq, user: "alice", text, on, count: on ? 1 : 0 }]);
    return { seq: server.seq, count: 1 };
  },
  delete: (server, { room, seq }) => {
    server.seq += 1;
    server.model.take([{ type: "redacted", seq: server.seq, at: Date.now(), room, target: seq, user: "alice", own: true, by: "alice", reason: "" }]);
    return { seq: server.seq };
  },
  stats: (server) => {
    server.polls = (server.polls ?? 0) + 1;
    const wave = (step, size) => Math.round((Math.sin(server.polls / step) + 1.2) * size);
    server.accepted = (server.accepted ?? 52_000) + wave(5, 40);
    server.delivered = (server.delivered ?? 410_000) + wave(4, 300);
    const process = (name, cpu, rss, pid) => ({ name, state: "running", pid, cpu, rss: rss * 1_048_576, threads: 4, restarts: 0, uptime: 90_000 });
    return {
      server: "lab", version: "1.0", uptime: 93_600, head: 52_117, writable: true, crypto_errors: 0, rooms: 14, users: 23,
      connections: { now: 40 + wave(9, 3), total: 812, limit: 1000 },
      messages: { accepted: server.accepted, delivered: server.delivered, filtered: 12, refused: 3 },
      processes: [process("hub", wave(6, 8), 61, 11), process("worker-1", wave(5, 12), 58, 12), process("worker-2", wave(7, 11), 57, 13), process("enrol", 0.1, 31, 14), process("gateway", wave(3, 4), 49, 15)],
      box: { cpu: wave(6, 20), memory: 43 },
      cluster: server.cluster,
    };
  },
  users: () => ({ users: USERS.map(([user, role, state]) => ({ user, role, state, pinned: user === "alice", devices: 1, banned: false, removed: false, device_list: [device(user, "laptop", "ab")] })), more: false }),
  bans: () => ({ bans: [{ user: "mallory", until: Date.now() + 3 * DAY, reason: "spam", by: "alice", at: Date.now() - DAY }], more: false }),
  mutes: () => ({ mutes: [{ user: "eve", room: "#lobby", until: null, reason: "loud", by: "alice", at: Date.now() - DAY }], more: false, next: "eve/#lobby" }),
  held_list: () => ({ held: [{ seq: 77, at: Date.now() - 600_000, room: "#lobby", user: "eve", device: "phone", kind: "text", word: "casino", body: "the casino door is open again" }], more: false }),
  held_approve: () => ({ user: "eve", room: "#lobby", published: 120, refused: null }),
  asks: () => ({ asks: [{ ask: "aa".repeat(32), user: "frank", device: "tablet", address: "192.0.2.9", words: "tiger opulent aardvark", at: Date.now() - 60_000 }], more: false }),
  invite_list: () => ({ invites: [{ invite: "x1", user: "gina", role: "user", device: null, rooms: [], state: "open", until: Date.now() + DAY, by: "alice", at: Date.now(), guest_until: null, sponsor: null }], more: false }),
  audit: () => ({ events: [["banned", "mallory", "spam"], ["role_set", "bob", ""], ["user_added", "eve", ""]].map(([type, user, reason], at) => ({ type, seq: 90 - at, at: Date.now() - at * 3_600_000, by: "alice", user, reason })), cursor: 80, more: false }),
  role_show: () => ({ roles: { admin: [], user: [], guest: [] }, default: "user", pinned: {} }),
  guest_list: () => ({ guests: [{ user: "guest-eva", sponsor: "alice", ends: Date.now() + DAY, state: "here" }], more: false }),
  ban: (server, { user, dry_run: dry }) => ({ user, sessions: 1, workers: 1, dry_run: Boolean(dry), until: Date.now() + 3_600_000 }),
  kick: (server, { user, dry_run: dry }) => ({ user, sessions: 1, workers: 1, dry_run: Boolean(dry), until: null }),
  revoke: (server, { user, device: name, dry_run: dry }) => ({ user, device: name, sessions: 1, workers: 1, dry_run: Boolean(dry), serial: "4f19", invites: 0, until: null }),
  join: (server, { room }) => ({ room, topic: "", guests: false, members: 5, archived: false, mode: "open", history: "all" }),
};

function certificates() {
  const now = Date.now();
  const one = (user, name, days, state = "valid", sessions = 1) => ({ user, device: name, serial: `4f19${days}`, state, issued: now - 20 * DAY, ends: now + days * DAY, by: "alice", sessions, seen: now });
  return [one("alice", "firefox", 80), one("alice", "laptop", 75), one("bob", "laptop", 4), one("carol", "phone", 26), one("dana", "laptop", -2, "expired", 0), one("eve", "phone", 60, "revoked", 0)];
}
