"""What real faults do to real clusters, counted: nothing lost, nothing twice, all in order. See docs/faults.rst."""
