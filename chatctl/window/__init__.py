"""`chat window`: the desktop client.

`network` brings events and replies from the client library's threads, `controller` carries out what
the person wants, and `timeline` turns a conversation into text; none of them uses Tk.
The rest is Tk: `main` starts it, `window` connects the views, `layout` arranges them.
Importing `cli` or `main` does not import Tk, so that `chat` works without it.
"""
