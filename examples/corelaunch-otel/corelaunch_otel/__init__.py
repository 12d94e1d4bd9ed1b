"""OpenTelemetry spans for what corelaunch does with a container."""
