"""What an `kiel.clients.admin.Admin` looks at and changes besides groups."""
