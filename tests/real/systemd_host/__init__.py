"""A real systemd with D-Bus as the first process of new namespaces on this host, for the time of one command.

``outside`` runs the whole from the host; ``inside`` is the first process until it becomes systemd; ``keeper`` stays
beside systemd to hand the caller's streams to ``launcher``, the service that runs the command; ``units`` is what
systemd is told to do. Nothing is written to the host's file systems, so there is nothing to remove but cgroups.
"""
