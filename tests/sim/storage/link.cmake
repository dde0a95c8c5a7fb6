set(LINK pb_storage pb_storage_check pb_replication pb_kv pb_message)
