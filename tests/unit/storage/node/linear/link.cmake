# The volume, the readers and the RPC server are the test's own: linear.c links nothing of the real ones.
set(LINK pb_node)
