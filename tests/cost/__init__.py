"""What the hot loops cost in instructions, which no noise of a machine changes."""
