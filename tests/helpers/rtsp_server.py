# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
"""A network camera for the tests: sends a file by RTSP, in real time, to who logs in as max with the password secret.

Run by the Python of the system, which has GStreamer's modules: `rtsp_server.py FILE tcp|udp`. It prints its port.
"""

import sys

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtsp", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtsp, GstRtspServer  # noqa: E402

Gst.init(None)
path, transport = sys.argv[1:]
factory = GstRtspServer.RTSPMediaFactory()
factory.set_launch(f"( filesrc location={path} ! qtdemux ! h264parse ! rtph264pay name=pay0 pt=96 )")
factory.set_protocols(getattr(GstRtsp.RTSPLowerTrans, transport.upper()))
permissions = GstRtspServer.RTSPPermissions()
for permission in ("access", "construct"):
    permissions.add_permission_for_role("user", f"media.factory.{permission}", True)
factory.set_permissions(permissions)
token = GstRtspServer.RTSPToken()
token.set_string("media.factory.role", "user")
auth = GstRtspServer.RTSPAuth()
auth.add_basic(GstRtspServer.RTSPAuth.make_basic("max", "secret"), token)
server = GstRtspServer.RTSPServer()
server.set_service("0")
server.set_auth(auth)
server.get_mount_points().add_factory("/video", factory)
server.attach(None)
print(server.get_bound_port(), flush=True)
GLib.MainLoop().run()
