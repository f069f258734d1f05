"""What a member of a group is made of: its coordinator, its assignment, and how far it has come."""
