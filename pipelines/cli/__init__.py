"""The command `embed`: parse, call, print. Nothing is decided here that Python users could not do."""
