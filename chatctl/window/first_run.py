"""The first run: there is no identity yet, so it is asked for and put where every client finds it."""

from __future__ import annotations

import os
import tkinter as tk
from datetime import UTC, datetime
from pathlib import Path
from tkinter import filedialog, ttk

from chatctl.window.theme import Theme
from chatd.errors import ChatdError
from chatd.pki.identity import IDENTITY_LIMIT, Identity, read_identity
from chatd.pki.keyfiles import PRIVATE, create_file

WORDS = (
    "To chat you need an identity: one file, made for you and this device by an admin of the server "
    "(chatd user add NAME --device DEVICE --out FILE). It holds your private key, so keep it to yourself. "
    "Choose the file here. It is copied to where chat looks for it, readable by nobody but you."
)


class FirstRun:
    """Asks in the root window itself, which the conversation takes over afterwards."""

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
        words = ttk.Label(frame, text=WORDS)
        words.pack(anchor="w", fill="x", pady=2 * unit)
        ttk.Label(frame, text="Identity file", style="Bold.TLabel").pack(anchor="w")
        row = ttk.Frame(frame)
        row.pack(fill="x", pady=unit // 2)
        self._path = tk.StringVar(root)
        entry = ttk.Entry(row, textvariable=self._path, font=theme.body)
        entry.pack(side="left", fill="x", expand=True)
        browse = ttk.Button(row, text="Browse \u2026", command=self._browse)
        browse.bind("<Return>", lambda _: self._browse())
        browse.pack(side="left", padx=(unit, 0))
        # Why the one that is there cannot be used; that there is none needs no words.
        text = f"{why.reason}; {why.fix}" if (config_folder() / "identity.pem").exists() else ""
        self._problem = ttk.Label(frame, style="Bad.TLabel", text=text)
        self._problem.pack(anchor="w", fill="x", pady=unit)
        begin = ttk.Button(frame, text="Begin", style="Accent.TButton", command=self._begin)
        begin.bind("<Return>", lambda _: self._begin())
        begin.pack(anchor="e")
        for label in (words, self._problem):
            label.bind("<Configure>", lambda e: e.widget.configure(wraplength=e.width - 2 * unit))
        entry.bind("<Return>", lambda _: self._begin())
        root.bind("<Escape>", lambda _: root.quit())
        entry.focus_set()

    def run(self) -> Identity | None:
        """Until there is an identity or the person gave up (None)."""
        self._root.mainloop()
        self._frame.destroy()
        self._root.unbind("<Escape>")
        return self._result

    def _browse(self) -> None:
        chosen = filedialog.askopenfilename(
            parent=self._root, title="Identity file", filetypes=[("Identity", "*.pem"), ("All files", "*")]
        )
        if chosen:
            self._path.set(chosen)

    def _begin(self) -> None:
        try:
            self._result = install(Path(self._path.get().strip()).expanduser(), config_folder())
        except ChatdError as error:
            self._problem.configure(text=f"{error.reason}; {error.fix}")
        else:
            self._root.quit()


def config_folder() -> Path:
    """Where a person's identities are."""
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "chatd"


def install(bundle: Path, folder: Path) -> Identity:
    """Copy an identity file to ``folder`` and read it there. Raises E608, and E606 for the folder.

    One that is there and cannot be used any more makes room, under another name.
    A file that came by mail or download can be read by others; its copy cannot.
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
    fresh = folder / f".identity-{os.getpid()}.pem"
    fresh.unlink(missing_ok=True)
    create_file(fresh, data, PRIVATE)
    try:
        check_dates(read_identity(fresh))
        if target.exists():
            if _usable(target):
                raise ChatdError(
                    "E608", f"there is {target} already", "remove it first, or start chat window --identity"
                )
            target.replace(folder / "identity.pem.old")
        fresh.rename(target)
    except ChatdError as error:
        raise ChatdError("E608", error.reason.replace(str(fresh), str(bundle)), error.fix) from None
    finally:
        fresh.unlink(missing_ok=True)
    return read_identity(target)


def check_dates(identity: Identity) -> None:
    """Raise E202 for a certificate that has ended: no server lets it in."""
    if identity.not_after < datetime.now(UTC):
        raise ChatdError(
            "E202",
            f"the certificate in {identity.path} ended on {identity.not_after:%Y-%m-%d}",
            "ask an admin for a new identity file (if that cannot be, set this device's clock)",
        )


def _usable(path: Path) -> bool:
    try:
        check_dates(read_identity(path))
    except ChatdError:
        return False
    return True
