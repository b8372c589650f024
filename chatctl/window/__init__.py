"""`chat window`: the desktop client. Only `main` asks for Tk, so that `chat` works where Python has none.

`book`, `model` and `timeline` are what is known and how it reads (no Tk, no I/O), `link` brings events and
answers from the client library's threads, `control` carries out what the person wants; the rest is Tk:
`app` keeps it moving, `layout` has the parts and their places.
"""
