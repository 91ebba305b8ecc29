"""The server that tests fork processes from which may be killed: it alone imports torch."""

import multiprocessing

#: Each of its processes is a fresh one, which is quick to begin.
CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["fernet_neuro.training.fit"])
