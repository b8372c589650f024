"""What the commands of the grammar do in the window; the same words as in the line client."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from chatctl.model import answers, render
from chatctl.model.conversation import TimelineRow
from chatctl.model.grammar import CommandCall, Mistake, Say, parse
from chatctl.window.controller import Controller
from chatd.errors import ChatdError
from chatd.proto.frames import JsonObject

Doing = Callable[[Controller, CommandCall], None]


def submit(control: Controller, text: str) -> None:
    """Do what was typed, a message or a command; a refusal is told in the conversation."""
    meant = parse(text.strip("\n"))
    if isinstance(meant, Mistake):
        control.model.note(meant.sentence, kind="error")
    elif isinstance(meant, Say):
        if meant.text.strip():
            control.say(meant.text)
    else:
        try:
            HANDLERS[meant.command.name](control, meant)
        except ChatdError as error:
            control.fail(error)


def _told(control: Controller, lines: Iterable[render.Line]) -> None:
    # The answers are made safe already; making them safe again changes nothing.
    control.model.note(render.plain(lines), kind="listing")


def _redact(control: Controller, call: CommandCall) -> None:
    number, here = call["to"], control.model.here.name
    if not number.isdecimal():
        control.model.note("say the message's number; chat history --json tells it", kind="error")
        return
    reason = call["reason"] or ""
    control.network.ask("redact", lambda _: None, room=here, seq=int(number), reason=reason)


def _help(control: Controller, call: CommandCall) -> None:
    welcome = control.model.welcome
    lines = answers.help_lines(welcome.permissions if welcome else (), call["command"])
    # Without the line client's own remarks on its keys.
    _told(control, [line for line in lines if line[0][0] == "class:command"] or lines)
    control.model.note("F1 lists the keys")


def _create(control: Controller, call: CommandCall) -> None:
    control.create(call["room"], call["topic"] or "", guests=bool(call["guests"]))


def _part(control: Controller, call: CommandCall) -> None:
    control.part(call["room"] or control.model.current)


def _rooms(control: Controller, call: CommandCall) -> None:
    control.network.ask_all("rooms", "rooms", "room", lambda found: _told(control, answers.rooms(found)))


def _topic(control: Controller, call: CommandCall) -> None:
    here = control.model.here
    if call["topic"] is None:
        control.model.note(f"the topic is: {here.topic}" if here.topic else "there is no topic")
    else:
        control.network.ask("topic", lambda _: None, room=here.name, topic=call["topic"])


def _who(control: Controller, call: CommandCall) -> None:
    room = call["room"] or control.model.current
    title = control.model.title(room)
    control.network.ask_all(
        "who", "members", "user", lambda found: _told(control, answers.who(title, found)), room=room
    )


def _whois(control: Controller, call: CommandCall) -> None:
    control.network.ask("whois", lambda result: _told(control, answers.whois(result)), user=call["name"])


def _msg(control: Controller, call: CommandCall) -> None:
    if call["text"] is not None:
        control.say(call["text"], to=f"@{call['name']}")
    control.enter(f"@{call['name']}")


def _reply(control: Controller, call: CommandCall) -> None:
    row = _answered(control, call["to"])
    if row is None:
        raise ChatdError(
            "E410", f"no message of {call['to']!r} is shown here", "give a NAME or a time as shown"
        )
    control.say(call["text"], reply_to=row.order[0])


def _answered(control: Controller, to: str) -> TimelineRow | None:
    """The last message of a user, or of a time as it is shown."""
    clock = to.strip("[]").removesuffix("Z")
    said = (row for row in reversed(control.model.here.rows) if row.kind in ("message", "action"))
    return next(
        (
            r
            for r in said
            if r.user == to.removeprefix("@") or (":" in clock and render.clock_of(r.at).startswith(clock))
        ),
        None,
    )


def _search(control: Controller, call: CommandCall) -> None:
    if control.view is not None:
        control.view.search(call["query"])


def _away(control: Controller, call: CommandCall) -> None:
    words = "you are away; /away without text ends it" if call["text"] else "you are back"
    control.network.ask("away", lambda _: control.model.note(words), text=call["text"] or "")


def _moderate(control: Controller, call: CommandCall) -> None:
    fields = {"user" if key == "name" else key: value for key, value in call.values.items()}
    words = f"{call.command.name} {call['name']}: done"

    def done(result: JsonObject) -> None:
        closed = result.get("sessions")
        some = f", {closed} session{'' if closed == 1 else 's'} closed" if isinstance(closed, int) else ""
        control.model.note(words + some)

    control.network.ask(call.command.name, done, **fields)


def _bans(control: Controller, call: CommandCall) -> None:
    control.network.ask_all("bans", "bans", "user", lambda found: _told(control, answers.bans(found)))


def _announce(control: Controller, call: CommandCall) -> None:
    control.network.ask("announce", lambda _: None, body=call["text"])


def _role(control: Controller, call: CommandCall) -> None:
    if call["role"] is None:
        control.network.ask(
            "role_show", lambda found: _told(control, answers.roles(found)), user=call["name"]
        )
    else:
        words = f"{call['name']} has the role {call['role']} now"
        control.network.ask(
            "role_set", lambda _: control.model.note(words), user=call["name"], role=call["role"]
        )


def _quit(control: Controller, call: CommandCall) -> None:
    if control.view is not None:
        control.view.quit()


HANDLERS: dict[str, Doing] = {
    "help": _help,
    "join": lambda control, call: control.enter(call["room"]),
    "part": _part,
    "rooms": _rooms,
    "create": _create,
    "topic": _topic,
    "who": _who,
    "whois": _whois,
    "msg": _msg,
    "reply": _reply,
    "me": lambda control, call: control.say(call["text"], kind="action"),
    "paste": lambda control, call: control.model.note("paste into the input; Shift+Enter begins a new line"),
    "history": lambda control, call: control.older(),
    "search": _search,
    "away": _away,
    "kick": _moderate,
    "ban": _moderate,
    "unban": _moderate,
    "mute": _moderate,
    "unmute": _moderate,
    "bans": _bans,
    "redact": _redact,
    "focus": lambda control, call: control.model.note("the window shows one room at a time as it is"),
    "announce": _announce,
    "role": _role,
    "quit": _quit,
}
