set(LINK pb_replication pb_kv)
