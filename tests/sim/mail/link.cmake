set(LINK pb_sim_cluster pb_storage pb_storage_check pb_replication pb_kv pb_message)
set(LABEL "sim;full")
