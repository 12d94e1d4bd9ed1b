"""The command line: one file per command, argument handling and printing only."""
