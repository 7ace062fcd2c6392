"""Runs a pipeline with a snippet of the documentation: host.py SNIPPET PIPELINE"""

import sys

import gi

gi.require_version('Gst', '1.0')
from gi.repository import GLib, Gst

snippet, launch = sys.argv[1:]
Gst.init(None)
pipeline = Gst.parse_launch(launch)
with open(snippet) as file:
    # What a reader of the snippet has already.
    exec(compile(file.read(), snippet, 'exec'), {'Gst': Gst, 'pipeline': pipeline, 'source': pipeline.get_by_name('pay')})
pipeline.set_state(Gst.State.PLAYING)
GLib.MainLoop().run()
