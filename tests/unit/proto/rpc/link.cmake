set(LINK pb_rpc)
