# The volume is the tests' own: reads.c links nothing of the real one.
set(LINK pb_replication)
