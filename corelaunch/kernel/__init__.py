"""Thin typed doors to kernel interfaces. Each raises OSError with the kernel's errno unless it says otherwise."""
