set(LINK pb_backup pb_storage_check pb_storage pb_kv pb_replication pb_message pb_schema pb_base)
