"""The parent's side of a launch: spawn stage 0, hold the conversation on the sync socket, own the processes."""
