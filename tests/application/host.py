"""Runs a pipeline with a snippet of the documentation: host.py SNIPPET PIPELINE"""

import sys

import gi

gi.require_version('Gst', '1.0')
from gi.repository import GLib, Gst

snippet, launch = sys.argv[1:]
Gst.init(None)
pipeline = Gst.parse_launch(launch)
# What a reader of the snippet has already.
names = {'Gst': Gst, 'pipeline': pipeline, 'source': pipeline.get_by_name('pay')}
with open(snippet) as file:
    exec(compile(file.read(), snippet, 'exec'), names)
pipeline.set_state(Gst.State.PLAYING)
GLib.MainLoop().run()
