"""What consumers are made of: fetching, reading what was fetched, and looking offsets up."""
