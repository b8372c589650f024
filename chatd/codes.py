"""Every stable error and warning code, with what it means and what to do.

Codes are for ever: one may be retired, never reused. The same table answers ``chatctl explain``,
fills the error frames of the wire and is checked against docs/protocol.md by a test.
"""

from __future__ import annotations

from typing import NamedTuple


class Code(NamedTuple):
    """One entry: ``name`` for programs, ``summary`` and ``fix`` for people."""

    name: str
    summary: str
    fix: str


CODES: dict[str, Code] = {
    # E1xx: the conversation between client and server went wrong
    "E100": Code("protocol", "the peer broke the protocol", "update the client; see docs/protocol.md"),
    "E101": Code("too_large", "a frame or record is over its limit", "send less in one message"),
    "E102": Code(
        "malformed", "a frame does not have the shape its type asks for", "compare with docs/protocol.md"
    ),
    "E103": Code(
        "unknown_request", "the server does not know this request", "update the server or the client"
    ),
    "E104": Code(
        "envelope", "the envelope could not be opened", "connect again; if it stays, check both versions"
    ),
    "E105": Code("wrong_state", "this request is not possible now", "wait for the welcome, then try again"),
    "E106": Code("timeout", "nothing was heard in time", "connect again"),
    "E107": Code("version", "client and server speak different versions", "update the older of the two"),
    "E108": Code("slow_consumer", "the client did not read fast enough", "connect again; nothing is lost"),
    # E2xx: who you are
    "E200": Code("no_certificate", "no client certificate was shown", "use the identity file you were given"),
    "E201": Code(
        "unknown_ca",
        "the certificate is from another authority",
        "ask an admin of this server for an identity",
    ),
    "E202": Code("expired", "the certificate has expired", "ask an admin for a new identity"),
    "E203": Code("not_yet_valid", "the certificate is not valid yet", "check this machine's clock"),
    "E204": Code(
        "clock", "the clocks of client and server differ", "set the clock of the machine that is wrong"
    ),
    "E205": Code(
        "unregistered", "the certificate is not in the server's registry", "ask an admin for a new identity"
    ),
    "E206": Code("revoked", "this device was revoked", "ask an admin for a new identity"),
    "E207": Code("banned", "this user is banned", "wait until the ban ends or ask an admin"),
    "E208": Code("kicked", "an admin ended this session", "come back later, and talk to the admin"),
    "E209": Code(
        "wrong_server",
        "the server did not prove to be the one in the identity",
        "check the address; do not go on",
    ),
    "E210": Code("wrong_certificate", "this kind of certificate may not log in", "use a device identity"),
    # E3xx: what you may do
    "E300": Code("not_permitted", "your role does not allow this", "ask an admin"),
    "E301": Code("not_a_member", "you are not in this room", "join the room first"),
    "E302": Code("muted", "you are muted", "wait until the mute ends or ask an admin"),
    "E303": Code("no_guests", "this is closed to guests", "ask an admin for a room that admits guests"),
    "E304": Code("protected", "this cannot be done to that user", "change the user's role first"),
    "E305": Code(
        "pinned", "this role is fixed in config/settings.json", "edit roles.assigned there and reload"
    ),
    "E306": Code("held", "the messages of this room are held", "let them go first: chatctl hold --off ROOM"),
    # E4xx: what you asked for
    "E400": Code("filtered", "the message contains a forbidden word", "rephrase the message"),
    "E401": Code("too_long", "the message is too long", "split the message"),
    "E402": Code("bad_text", "the text has nothing that can be shown", "write some text"),
    "E403": Code(
        "bad_name", "that is not a valid name", "use a-z, 0-9, dot, dash, underscore; 1 to 32 characters"
    ),
    "E404": Code("no_room", "there is no such room", "see /rooms, or create it"),
    "E405": Code("no_user", "there is no such user", "see /who or chatctl users"),
    "E406": Code("exists", "that name is taken", "choose another name"),
    "E408": Code("msg_id_reused", "this msg_id was used for another message", "take a new random msg_id"),
    "E409": Code("limit", "a limit of this server is reached", "give something up first or ask an admin"),
    "E410": Code("nothing_to_undo", "there is nothing to undo", "check the name"),
    "E411": Code("bad_query", "the search has nothing to look for", "give a word, or filters only"),
    "E412": Code("no_device", "there is no such device", "see /whois NAME"),
    # E5xx: the server
    "E500": Code(
        "internal", "the server made a mistake", "try again; an admin finds the cause in logs/errors.log"
    ),
    "E501": Code("full", "the server is full", "try again later, or raise server.max_connections"),
    "E502": Code("going_away", "the server is stopping", "connect again in a moment"),
    "E503": Code(
        "outcome_unknown",
        "the hub restarted while it worked on this",
        "look whether it took effect, then try again",
    ),
    "E504": Code(
        "storage", "the server cannot write its log", "an admin must free disk space or repair the disk"
    ),
    "E505": Code("too_many_sessions", "this user has too many connections", "close another client first"),
    # E6xx: the box and the commands
    "E600": Code("config", "the settings are not valid", "correct the file and try again"),
    "E601": Code("no_home", "this is not an initialised home", "run: chatd init"),
    "E602": Code(
        "home_exists", "this home is initialised already", "choose another --home, or go on with: chatd start"
    ),
    "E603": Code("not_running", "chatd is not running", "run: chatd start"),
    "E604": Code("running", "chatd is running already", "see: chatd status"),
    "E605": Code("address_in_use", "the address is in use", "stop the other program or change server.port"),
    "E606": Code("file_access", "a file cannot be read or written", "check the path and its permissions"),
    "E607": Code(
        "unreachable", "the server cannot be reached", "check address and network, and that chatd runs"
    ),
    "E608": Code("bad_identity", "the identity file cannot be used", "ask an admin for a new identity file"),
    "E609": Code("child_fatal", "a child process cannot start", "see: chatd status, and logs/errors.log"),
    "E610": Code("integrity", "the event log is damaged", "do not delete anything; see docs/operations.md"),
    "E611": Code("no_answer", "chatd did not answer in time", "see: chatd status, and logs/errors.log"),
    "E612": Code("clock_box", "the clock of this box is implausible", "set the clock, then try again"),
    "E613": Code("backup", "the backup cannot be made or used", "see docs/backup.md"),
    "E614": Code("client_defect", "the client made a mistake", "start it again, and report what it said"),
    # W1xx: findings of a check that do not stop anything
    "W110": Code("open_key", "a private key can be read by others", "chmod 600 the file"),
    "W111": Code("plain_envelope", "the envelope is switched off", "set security.encryption_enabled to true"),
    "W112": Code("expires_soon", "a certificate expires soon", "renew it before it does"),
    "W114": Code("old_library", "a library has a known defect", "update it"),
    "W115": Code(
        "few_descriptors",
        "the limit of open files is low for max_connections",
        "raise ulimit -Hn",
    ),
}
