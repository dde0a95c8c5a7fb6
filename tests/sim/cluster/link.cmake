set(LINK pb_node pb_replication pb_kv)
