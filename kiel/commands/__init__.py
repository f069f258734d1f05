"""The kinds of commands of `kiel.command`: each module has ``add``, which adds its part of the command line."""
