"""What a container leaves on disk: the journal (truth), state.json (derived) and the lock."""
