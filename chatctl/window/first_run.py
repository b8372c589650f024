"""The first run: asks for an identity file and copies it to where every client finds it."""

from __future__ import annotations

import os
import tkinter as tk
from datetime import UTC, datetime
from pathlib import Path
from tkinter import filedialog, ttk

from chatctl.window.theme import Theme
from chatd.codes import NEW_IDENTITY
from chatd.console.folders import config_folder, expanded
from chatd.durable_files import PRIVATE, create_file
from chatd.errors import ChatdError
from chatd.pki.identity import IDENTITY_LIMIT, Identity, read_identity

EXPLANATION = (
    "To chat, you need an identity file. An admin of the server makes it for you and this device "
    "(chatd user add NAME --device DEVICE --out FILE). It holds your private key: do not share it. "
    "Choose the file below. It will be copied to where chat looks for it, readable only by you."
)


class FirstRun:
    """Asks in the root window, which the conversation uses afterwards. ``why`` there is no identity yet."""

    def __init__(self, root: tk.Tk, theme: Theme, why: ChatdError) -> None:
        self._root = root
        self._result: Identity | None = None
        unit = theme.unit
        root.title("Welcome - chatd")
        root.geometry(f"{90 * unit}x{46 * unit}")
        root.minsize(45 * unit, 46 * unit)
        root.protocol("WM_DELETE_WINDOW", root.quit)
        self._frame = frame = ttk.Frame(root, padding=4 * unit)
        frame.pack(fill="both", expand=True)
        ttk.Label(frame, text="Welcome to chatd", style="Title.TLabel").pack(anchor="w")
        explanation = ttk.Label(frame, text=EXPLANATION)
        explanation.pack(anchor="w", fill="x", pady=2 * unit)
        ttk.Label(frame, text="Identity file", style="Bold.TLabel").pack(anchor="w")
        row = ttk.Frame(frame)
        row.pack(fill="x", pady=unit // 2)
        self._path = tk.StringVar(root)
        entry = ttk.Entry(row, textvariable=self._path, font=theme.body)
        entry.pack(side="left", fill="x", expand=True)
        ttk.Button(row, text="Browse\u2026", command=self._browse).pack(side="left", padx=(unit, 0))
        # A missing file needs no explanation; an unusable one does.
        text = f"{why.reason}; {why.fix}" if (config_folder(os.environ) / "identity.pem").exists() else ""
        self._problem = ttk.Label(frame, style="Bad.TLabel", text=text)
        self._problem.pack(anchor="w", fill="x", pady=unit)
        ttk.Button(frame, text="Start", style="Accent.TButton", command=self._start).pack(anchor="e")
        for label in (explanation, self._problem):
            label.bind("<Configure>", lambda e: e.widget.configure(wraplength=e.width - 2 * unit))
        entry.bind("<Return>", lambda _: self._start())
        root.bind("<Escape>", lambda _: root.quit())
        entry.focus_set()

    def run(self) -> Identity | None:
        """Return the identity, or None if the person gives up."""
        self._root.mainloop()
        self._frame.destroy()
        self._root.unbind("<Escape>")
        return self._result

    def _browse(self) -> None:
        types = [("Identity", "*.pem"), ("All files", "*")]
        if path := filedialog.askopenfilename(parent=self._root, title="Identity file", filetypes=types):
            self._path.set(path)

    def _start(self) -> None:
        try:
            self._result = install(expanded(self._path.get().strip()), config_folder(os.environ))
        except ChatdError as error:
            self._problem.configure(text=f"{error.reason}; {error.fix}")
        else:
            self._root.quit()


def install(bundle: Path, folder: Path) -> Identity:
    """Copy an identity file to ``folder``, readable only by its owner, and read it there.

    An unusable identity in its place is renamed to identity.pem.old.
    Raises E608 for the file or a usable identity in its place, E606 for the folder.
    """
    try:
        with bundle.open("rb") as file:
            data = file.read(IDENTITY_LIMIT + 1)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise ChatdError(
            "E608", f"{bundle} cannot be read: {error.strerror}", "choose another file"
        ) from None
    target = folder / "identity.pem"
    copy = folder / f".identity-{os.getpid()}.pem"
    copy.unlink(missing_ok=True)
    create_file(copy, data, PRIVATE)
    try:
        check_dates(read_identity(copy))
        if target.exists():
            if _usable(target):
                raise ChatdError(
                    "E608", f"{target} already exists", "remove it first, or use: chat window --identity FILE"
                )
            target.replace(folder / "identity.pem.old")
        copy.rename(target)
    except ChatdError as error:
        raise ChatdError("E608", error.reason.replace(str(copy), str(bundle)), error.fix) from None
    finally:
        copy.unlink(missing_ok=True)
    return read_identity(target)


def check_dates(identity: Identity) -> None:
    """Raise E202 for an expired certificate: no server accepts it."""
    if identity.not_after < datetime.now(UTC):
        raise ChatdError(
            "E202",
            f"the certificate in {identity.path} expired on {identity.not_after:%Y-%m-%d}",
            f"correct this device's clock if it is wrong; otherwise {NEW_IDENTITY}",
        )


def _usable(path: Path) -> bool:
    try:
        check_dates(read_identity(path))
    except ChatdError:
        return False
    return True
