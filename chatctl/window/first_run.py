"""The first run: asks for an invite or an identity, and stores the identity where every client finds it."""

from __future__ import annotations

import os
import tkinter as tk
from tkinter import filedialog, ttk

from chatctl.client import InviteResult
from chatctl.window import identity_input, invite_input, shapes
from chatctl.window.identity_input import IdentityInput
from chatctl.window.invite_input import Redeeming
from chatctl.window.theme import Theme
from chatd.console.folders import config_folder
from chatd.errors import ChatdError
from chatd.pki.identity import Identity
from chatd.proto.invite_code import looks_like_invite

EXPLANATION = (
    "Paste the invite that an admin of the server gave you: HOST:PORT/CODE. It works once, and makes "
    "your identity on this device. Or give an identity that an admin made for you: a file, or its text. "
    "It holds your private key: do not share it. It is kept where chat looks for it, readable only by you."
)
HINT = "The invite; or an identity: the file's name, or its text"
DROP_HINT = "Paste the invite; or drop the identity's file here, or paste its text"
INPUT_LINES = 3
REDEEMING_CHECK_MS = 50


class FirstRun:
    """Asks in the root window, which the conversation uses afterwards. ``why`` there is no identity yet."""

    def __init__(self, root: tk.Tk, theme: Theme, why: ChatdError) -> None:
        self._root, self._theme = root, theme
        self._folder = config_folder(os.environ)
        self._result: Identity | None = None
        self._given: IdentityInput | None = None  # pasted text, which the input does not keep showing
        self._redeeming: Redeeming | None = None
        self._joined: Identity | None = None  # the result of an invite
        self._warned = ""  # the other server that the person has been told of
        unit = theme.unit
        root.title("Welcome - chatd")
        root.geometry(f"{90 * unit}x{56 * unit}")
        root.minsize(45 * unit, 46 * unit)
        root.protocol("WM_DELETE_WINDOW", root.quit)
        self._frame = frame = ttk.Frame(root, padding=(6 * unit, 4 * unit))
        frame.pack(fill="both", expand=True)
        self._draw_sign(frame)
        ttk.Label(frame, text="Welcome to chatd", style="Title.TLabel").pack(pady=(2 * unit, unit))
        explanation = ttk.Label(frame, text=EXPLANATION, justify="center")
        explanation.pack(fill="x", pady=(0, 3 * unit))
        self.text = self._make_input(frame)
        # A missing file needs no explanation; an unusable one does.
        known = (self._folder / identity_input.FILE_NAME).exists()
        self.said = ttk.Label(frame, style="Bad.TLabel", text=f"{why.reason}; {why.fix}" if known else "")
        self.said.pack(anchor="w", fill="x", pady=unit)
        buttons = ttk.Frame(frame)
        buttons.pack(fill="x")
        ttk.Button(buttons, text="Start", style="Accent.TButton", command=self._start).pack(side="right")
        ttk.Button(buttons, text="Choose a file\u2026", command=self._browse).pack(side="left")
        for label in (explanation, self.said):
            label.bind("<Configure>", lambda e: e.widget.configure(wraplength=e.width - unit))
        # Not Escape, which people press to clear or to leave a field: a pasted invite would be gone.
        root.bind("<Control-q>", lambda _: root.quit())
        self.text.focus_set()

    def run(self) -> Identity | None:
        """Return the identity, or None if the person gives up."""
        self._root.mainloop()
        self._frame.destroy()
        self._root.unbind("<Control-q>")
        return self._result

    def _draw_sign(self, frame: ttk.Frame) -> None:
        theme, p = self._theme, self._theme.palette
        size = 7 * theme.unit
        image = theme.image(shapes.rounded, size, size, size // 4, p.page, p.accent)
        sign = tk.Canvas(frame, width=size, height=size, background=p.page, highlightthickness=0)
        sign.create_image(0, 0, image=image, anchor="nw")
        sign.create_text(size // 2, size // 2, text="#", fill=p.on_accent, font=theme.title)
        sign.pack()

    def _make_input(self, frame: ttk.Frame) -> tk.Text:
        theme, unit = self._theme, self._theme.unit
        box = ttk.Frame(frame, style="Field.TFrame", padding=unit)
        box.pack(fill="x")
        text = tk.Text(box, height=INPUT_LINES, width=20, **theme.text_options())
        text.configure(background=theme.palette.field, wrap="char")
        text.pack(fill="x")
        dropping = self._accept_drops(text)
        options = {"background": theme.palette.field, "foreground": theme.palette.quiet, "font": theme.body}
        hint = DROP_HINT if dropping else HINT
        self._hint = tk.Label(text, text=hint, cursor="xterm", borderwidth=0, **options)  # type: ignore[arg-type]
        self._hint.bind("<Button-1>", lambda _: text.focus_set())
        self._hint.place(x=unit // 2, y=0)
        text.bind("<FocusIn>", lambda _: box.state(["focus"]))
        text.bind("<FocusOut>", lambda _: box.state(["!focus"]))
        text.bind("<<Modified>>", lambda _: self._changed())
        for key in ("<Return>", "<KP_Enter>"):
            text.bind(key, lambda _: self._start())
        text.bind("<Tab>", lambda _: self._move_focus(text.tk_focusNext()))
        text.bind("<Shift-Tab>", lambda _: self._move_focus(text.tk_focusPrev()))
        return text

    def _accept_drops(self, text: tk.Text) -> bool:
        """Accept files that are dropped on the input, which needs Tk's extension tkdnd."""
        try:
            text.tk.eval("package require tkdnd")
            text.tk.call("tkdnd::drop_target", "register", text, "DND_Files")
        except tk.TclError:
            return False
        dropped = self._root.register(lambda names: self._dropped(text.tk.splitlist(names)))
        text.tk.call("bind", text, "<<Drop:DND_Files>>", f"{dropped} %D")
        return True

    def _dropped(self, names: tuple[str, ...]) -> None:
        if names:
            self._show(names[0])
            self._start()

    @staticmethod
    def _move_focus(target: tk.Misc | None) -> str:
        if target is not None:
            target.focus_set()
        return "break"

    def _browse(self) -> None:
        types = [("Identity", "*.pem"), ("All files", "*")]
        if path := filedialog.askopenfilename(parent=self._root, title="Identity file", filetypes=types):
            self._show(path)
            self._start()

    def _show(self, text: str) -> None:
        self.text.delete("1.0", "end")
        self.text.insert("1.0", text)

    def _changed(self) -> None:
        if not self.text.edit_modified():
            return
        self.text.edit_modified(False)
        typed = self.text.get("1.0", "end-1c")
        if typed:
            self._hint.place_forget()
        else:
            self._hint.place(x=self._theme.unit // 2, y=0)
        if identity_input.is_text(typed) and "-----END" in typed:
            self._take_text(typed)

    def _take_text(self, typed: str) -> None:
        """Keep a pasted text, and show whose it is instead: nobody shall read the key on the screen."""
        given = identity_input.take(typed)
        try:
            found = identity_input.check(given, self._folder)
        except ChatdError as error:
            self._say(error)
            return
        self._show(f"identity of {found.user} on {found.device}, for the server {found.instance}")
        self.text.edit_modified(False)
        self._given = given
        self.said.configure(text="Enter starts the chat.", style="Good.TLabel")

    def _start(self) -> str:
        if self._joined is not None:
            self._result = self._joined
            self._root.quit()
        if self._redeeming is not None or self._joined is not None:
            return "break"
        try:
            typed = self.text.get("1.0", "end-1c")
            if looks_like_invite(typed):
                self._redeem(typed)
                return "break"
            given = self._given if self._given and typed.startswith("identity of ") else None
            self._install(given or identity_input.take(typed))
        except ChatdError as error:
            self._say(error)
        return "break"

    def _redeem(self, typed: str) -> None:
        self._redeeming = Redeeming(invite_input.take_invite(typed), self._folder)
        self.said.configure(text="redeeming the invite\u2026", style="Quiet.TLabel")
        self._check_redeeming()

    def _check_redeeming(self) -> None:
        """Wait for the thread without holding up the window."""
        assert self._redeeming is not None  # noqa: S101 - set before this is scheduled
        outcome, seen, busy = self._redeeming.outcome(), self._redeeming.fingerprint, self._redeeming.busy
        if outcome is None:
            if busy:
                self.said.configure(text=f"{busy}\u2026", style="Quiet.TLabel")
            elif seen:
                self.said.configure(text=f"the server's CA is {seen}; redeeming the invite\u2026")
            self._root.after(REDEEMING_CHECK_MS, self._check_redeeming)
            return
        self._redeeming = None
        if isinstance(outcome, InviteResult):
            self._show_joined(outcome)
        else:
            self._say(outcome)

    def _show_joined(self, result: InviteResult) -> None:
        """Replace the invite by what came of it; the person may compare the fingerprint before going on."""
        self._joined = identity = result.identity
        self._show(f"identity of {identity.user} on {identity.device}, for the server {identity.instance}")
        self.text.configure(state="disabled")
        text = f"You are {identity.user} ({result.role}). The server's CA is {result.authority}. "
        self.said.configure(text=f"{text}Enter starts the chat.", style="Good.TLabel")

    def _install(self, given: IdentityInput) -> None:
        found = identity_input.check(given, self._folder)
        before = identity_input.other_server(found, self._folder)
        if before and self._warned != found.instance:
            self._warned = found.instance
            text = (
                f"This is for the server {found.instance}; until now it was {before}. Start again to use it."
            )
            self.said.configure(text=text, style="Warn.TLabel")
            return
        self._result = identity_input.install(given, self._folder)
        self._root.quit()

    def _say(self, error: ChatdError) -> None:
        self.said.configure(text=f"{error.reason}; {error.fix}", style="Bad.TLabel")
