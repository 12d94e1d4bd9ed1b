"""``corelaunch plugin new``: a project for a new plugin, from templates, whose tests pass at once."""
