#!/usr/bin/env python3
"""Reads what `gst-launch-1.0 -m` prints and passes on what the demo wants to know, stamped as it comes.

    listen.py WHO PRINTED LOG EVENTS

PRINTED is the named pipe that it prints to. Each event is one line in EVENTS (a named pipe): microseconds, WHO, a name and then KEY=VALUE fields, separated by
tabs. What is printed goes to LOG, without the noise. Made for the demo: it counts on names and numbers without
tabs.
"""

import os
import re
import sys
import time

MESSAGE = re.compile(r'Got message #\d+ from (?:element|object|pad) "(?P<source>[^"]*)" \((?P<kind>[\w-]+)\): (?P<rest>.*)')
FIELD = re.compile(r'([\w-]+)=\(\w+\)("(?:\\.|[^"\\])*"|[^,;]*)')
OURS = "streamium-pay/"
# One write of up to this many bytes to a pipe is never mixed with another's.
PIPE_BUF = 4096


def value(text):
    """A field's value: strings are quoted where they have to be, with backslashes before what is not a letter."""
    if text.startswith('"'):
        text = re.sub(r"\\(.)", r"\1", text[1:-1])
    return text.replace("\t", " ")


def event(line):
    """The event that a line tells of, as a list, or None."""
    if line.startswith("ERROR: "):
        return ["error", "text=" + line[len("ERROR: "):].replace("\t", " ")]
    message = MESSAGE.match(line)
    if not message or message["kind"] != "element":
        return None
    rest = message["rest"]
    name = rest.split(",")[0].rstrip(";")
    # videoanalyse tells of each picture it sees, level of each tenth of a second of sound.
    if name == "GstVideoAnalyse":
        return ["frame"]
    if name == "level":
        return ["sound"]
    if name.startswith(OURS):
        return [name[len(OURS):]] + [f"{key}={value(text)}" for key, text in FIELD.findall(rest)]
    return None


def is_noise(line, found):
    """What happens all the time and tells nothing when something went wrong."""
    if found:
        return found[0] in ("frame", "sound")
    message = MESSAGE.match(line)
    if not message:
        return line.startswith("Redistribute latency")
    telling = message["kind"] in ("element", "error", "warning", "eos", "application")
    return not telling or message["rest"].startswith("application/x-rtp-")


def main():
    who, printed_path, log_path, events_path = sys.argv[1:]
    events = os.open(events_path, os.O_WRONLY)

    def tell(words):
        line = "\t".join([str(now), who, *words])
        os.write(events, line.encode()[: PIPE_BUF - 1] + b"\n")

    with open(printed_path, "rb") as printed, open(log_path, "w", buffering=1, encoding="utf-8") as log:
        for raw in printed:
            now = time.time_ns() // 1000
            line = raw.decode(errors="replace").rstrip("\n")
            found = event(line)
            if found:
                tell(found)
            if not is_noise(line, found):
                print(f"{now / 1e6:.3f} {line}", file=log)
    now = time.time_ns() // 1000
    tell(["gone"])


main()
