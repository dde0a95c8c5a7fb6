set(LINK pb_kv)
