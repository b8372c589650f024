"""Every stable error and warning code, with its meaning and what to do.

A code may be retired but is never reused. This table also serves ``chatctl explain``, the error frames and
docs/protocol.md (checked by a test).
"""

from __future__ import annotations

from typing import NamedTuple


class Code(NamedTuple):
    """One entry: ``name`` for programs, ``summary`` and ``fix`` for people."""

    name: str
    summary: str
    fix: str


# Devices of others are added on the server's box only, where the only admin can help themselves.
NEW_IDENTITY = "ask an admin for a new identity file (on the box: chatd user add NAME --device NEW)"
# If every address refuses: a machine is there, but no program listens.
NOTHING_LISTENS = "on the server's box run: chatd start; or check the address in the identity file"
_REVOKED = (
    "on another device of yours run: chat device add NEW; without one ask an admin for an invite"
    " (chatctl invite create NAME)"
)
_NATS = "with the sources' .venv run: make cluster; for another environment see docs/cluster.md"
_STOLEN = "end a stolen identity on the server's box: chatd user revoke NAME"
NOTHING_INVITES = "on the server's box run: chatd start; or check the address in the invite"
TAKE_ANOTHER_PORT = "stop the other program, or set another server.port in config/settings.json"
_NEW_INVITE = "ask an admin for a new one (chatctl invite create NAME)"

# What else may help, for some: code -> words for ``chatctl explain``.
ALSO = {
    "E400": "with the permission filter.override: /say! in the terminal, or Send anyway in window and page",
}
CODES: dict[str, Code] = {
    # E1xx: the protocol
    "E100": Code("protocol", "the peer violated the protocol", "update the older of client and server"),
    "E101": Code("too_large", "a frame or record exceeds its size limit", "send less at once"),
    "E102": Code("malformed", "a frame does not fit its type", "update the older of client and server"),
    "E103": Code("unknown_request", "the request is unknown", "update the older of client and server"),
    "E104": Code("envelope", "the envelope cannot be opened", "connect again, or update both programs"),
    "E105": Code("wrong_state", "this request is not possible now", "wait for the welcome, then try again"),
    "E106": Code("timeout", "the other side sent nothing in time", "connect again"),
    "E107": Code("version", "client and server speak different versions", "update the older of the two"),
    "E108": Code("slow_consumer", "the client did not read fast enough", "connect again; no message is lost"),
    # E2xx: authentication
    "E200": Code("no_certificate", "the client sent no certificate", "use the identity file you were given"),
    "E201": Code("unknown_ca", "the certificate is from another CA", NEW_IDENTITY),
    "E202": Code("expired", "the certificate has expired", NEW_IDENTITY),
    "E203": Code("not_yet_valid", "the certificate is not valid yet", "correct this machine's clock"),
    "E204": Code("clock", "the clocks of client and server differ", "correct the clock that is wrong"),
    "E205": Code("unregistered", "the certificate is not registered", NEW_IDENTITY),
    "E206": Code("revoked", "this device was revoked", _REVOKED),
    "E207": Code("banned", "this user is banned", "wait until the ban ends, or ask an admin"),
    "E208": Code("kicked", "an admin ended this session", "come back later, or ask an admin"),
    "E209": Code(
        "wrong_server", "this is not the identity file's server", "check the address; do not continue"
    ),
    "E210": Code("wrong_certificate", "this kind of certificate may not log in", "use a device identity"),
    "E211": Code("unknown_invite", "the server does not know this invite", _NEW_INVITE),
    "E212": Code("invite_expired", "this invite has expired", _NEW_INVITE),
    "E213": Code("invite_used", "this invite was used", _NEW_INVITE),
    "E214": Code("invite_cancelled", "this invite was cancelled", _NEW_INVITE),
    "E215": Code("bad_invite", "this is not an invite", "copy the whole line again from where it came"),
    "E216": Code("enrol_off", "this server redeems no invites", "ask an admin for an identity file"),
    "E217": Code("bad_request", "the certificate request is not accepted", "update this program"),
    "E218": Code("enrol_busy", "too many invites are being tried", "try again in a minute"),
    "E219": Code(
        "guest_ended", "the time of this guest has ended", "ask your sponsor or an admin for an invite"
    ),
    "E220": Code("ask_off", "nobody can ask to be let in here", "ask an admin for an invite"),
    "E221": Code("denied", "an admin has not let you in", "ask an admin for an invite"),
    "E222": Code("ask_ended", "no admin has decided in time", "call an admin, then ask again"),
    # E3xx: authorization
    "E300": Code("not_permitted", "your role does not permit this", "ask an admin"),
    "E301": Code("not_a_member", "you are not in this room", "join the room first"),
    "E302": Code("muted", "you are muted", "wait until the mute ends, or ask an admin"),
    "E303": Code("no_guests", "guests may not do this", "ask for another role or a room open to guests"),
    "E304": Code(
        "protected", "this cannot be done to that user", f"change the user's role first, or {_STOLEN}"
    ),
    "E305": Code(
        "pinned",
        "this role is fixed in config/settings.json",
        f"edit it there, then: chatd reload, or {_STOLEN}",
    ),
    "E306": Code("held", "the messages of this room are on hold", "end the hold: chatctl hold --off ROOM"),
    "E307": Code("archived", "this room is archived", "undo it: chatctl room unarchive ROOM"),
    "E308": Code("configured", "this room is in config/settings.json", "edit it there, then: chatd reload"),
    "E309": Code("too_late", "this message can no longer be changed", "write a new message"),
    "E310": Code(
        "not_yours", "only its author may change a message", "reply to it, or remove it: /redact NUMBER"
    ),
    "E311": Code("not_owner", "only the owners of this room may do this", "ask one of them: /room"),
    "E312": Code("by_invitation", "this room is entered by invitation", "ask an owner to invite you"),
    "E313": Code("read_only", "only the owners of this room write in it", "ask one of them: /room"),
    "E314": Code("last_owner", "this room needs an owner", "name another one first: /owner NAME"),
    # E4xx: the request
    "E400": Code("filtered", "the message contains a forbidden word", "rephrase the message"),
    "E401": Code("too_long", "the message is too long", "split the message"),
    "E402": Code("bad_text", "the text contains nothing visible", "write some text"),
    "E403": Code(
        "bad_name",
        "this is not a valid name",
        "use 1 to 32 characters of a-z, 0-9 and . - _, with a letter or digit at both ends",
    ),
    "E404": Code("no_room", "there is no such room", "see /rooms or chatctl rooms, or create it"),
    "E405": Code("no_user", "there is no such user", "see /who or chatctl users"),
    "E406": Code("exists", "this name is taken", "choose another name"),
    "E408": Code("msg_id_reused", "this msg_id was used for another message", "use a new random msg_id"),
    "E409": Code("limit", "a limit of this server is reached", "remove something first, or ask an admin"),
    "E410": Code("nothing_to_undo", "there is nothing to change", "check the name and the number"),
    "E411": Code(
        "bad_query", "the search has no word or a bad filter", "enter a word, or a filter such as from:bob"
    ),
    "E412": Code("no_device", "there is no such device", "see /whois NAME or chatctl whois NAME"),
    "E413": Code("daily_limit", "you have written enough for today", "write again after 00:00 UTC"),
    "E414": Code("too_many_searches", "too many of your searches are under way", "wait for their results"),
    "E415": Code(
        "refused_by_moderator",
        "a moderator has refused this message, or none decided in time",
        "write another message",
    ),
    # E5xx: the server
    "E500": Code("internal", "the server has an internal error", "try again; details are in logs/errors.log"),
    "E501": Code("full", "the server is full", "try again later; an admin can raise server.max_connections"),
    "E502": Code("going_away", "the server is stopping", "connect again in a moment"),
    "E503": Code("outcome_unknown", "outcome unknown: the hub restarted", "check its effect, then try again"),
    "E504": Code("storage", "the log cannot be written", "an admin must free disk space or repair the disk"),
    "E505": Code("too_many_sessions", "this user has too many connections", "close another client first"),
    "E506": Code("no_stream", "the cluster's stream does not take writes", "run: chatd status"),
    # E6xx: the box, the daemon and the programs
    "E600": Code("config", "the settings are not valid", "correct config/settings.json, then try again"),
    "E601": Code("no_home", "this folder is not an initialised home", "run: chatd init"),
    "E602": Code("home_exists", "the home is already initialised", "run: chatd start; or use another --home"),
    "E603": Code("not_running", "chatd is not running", "run: chatd start"),
    "E604": Code("running", "chatd is already running", "run: chatd status"),
    "E605": Code("address_in_use", "the address is in use", TAKE_ANOTHER_PORT),
    "E606": Code("file_access", "a file cannot be read or written", "check the path and its permissions"),
    "E607": Code("unreachable", "the server cannot be reached", "check address, network and that chatd runs"),
    "E608": Code("bad_identity", "the identity file cannot be used", "copy it again from where it came"),
    "E609": Code("child_fatal", "a child process cannot start", "run: chatd status, and see logs/errors.log"),
    "E610": Code("integrity", "the event log is damaged", "delete nothing; see docs/operations.md, Damage"),
    "E611": Code("no_answer", "chatd did not reply in time", "run: chatd status, and see logs/errors.log"),
    "E612": Code("clock_box", "the clock of this box is implausible", "correct the clock, then try again"),
    "E613": Code("backup", "the backup cannot be made or used", "see docs/backup.md"),
    "E614": Code("client_defect", "the client has an internal error", "restart it, and report the message"),
    "E615": Code(
        "output_lost",
        "the output cannot be written",
        "it was done: repeat only a command that reads",
    ),
    "E618": Code("newer_log", "the event log was written by a newer chatd", "install that version of chatd"),
    "E619": Code("home_copy", "this home is a copy of another one", "run: chatd start --as-copy"),
    "E620": Code("ca_offline", "the CA's key is not on this server", "put it back: chatd ca import FILE"),
    "E621": Code("stream", "the cluster's stream does not continue this log", "see docs/cluster.md"),
    "E622": Code("no_nats", "NATS is not installed", _NATS),
    "E623": Code("join_file", "the join file cannot be used", "make a new one: see docs/cluster.md"),
    "E624": Code(
        "left_cluster",
        "this node has left its cluster",
        "for a server of its own, with the history until then: chatd cluster dissolve",
    ),
    "E625": Code("outside_nats", "the NATS servers of cluster.nats do not suit", "see docs/cluster.md"),
    "E630": Code(
        "other_service",
        "something else than a chatd answers at this address",
        "check host and port; on the server's box run: chatd status",
    ),
    # W1xx: warnings of a check
    "W110": Code("open_key", "other users can read a private key or folder", "run: chmod go= FILE"),
    "W111": Code("plain_envelope", "the envelope is switched off", "set security.encryption_enabled to true"),
    "W112": Code("expires_soon", "a certificate expires soon", "renew it; for the server: chatd cert renew"),
    "W114": Code("old_library", "a library has a known defect", "update the library"),
    "W115": Code("few_descriptors", "the limit of open files is too low", "raise ulimit -Hn, or LimitNOFILE"),
    "W116": Code(
        "no_record_key", "there is no record key", "run chatd restart while certs/ca.key is in place"
    ),
    "W117": Code(
        "log_held",
        "a long read keeps the write-ahead log from being emptied",
        "end that program; fuser -v data/events.db lists them",
    ),
    "W118": Code("ca_key_away", "the CA's key is not on this server", "to issue: chatd ca import FILE"),
    "W119": Code(
        "mixed_versions",
        "the nodes of the cluster have different versions of chatd",
        "update the others, the one that leads last",
    ),
    "W120": Code(
        "unknown_sync",
        "chatd cannot see whether the NATS servers sync before they acknowledge",
        "set sync_interval: always on each of them, then cluster.nats_syncs to true",
    ),
    "W130": Code("not_utf8", "the terminal's locale is not UTF-8", "run: export LC_ALL=C.UTF-8"),
    "W131": Code(
        "no_tk",
        "the desktop window cannot be opened",
        "install Tk; on Debian as root: apt install python3-tk",
    ),
}
